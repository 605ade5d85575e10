"""xlm-models' MDLMPredictor: plain draws are behind top_k and top_p together, and refused without.

The conditions of the constructor are the wrong way round: with neither it says that both are set,
with both it draws from all tokens. uv run --with xlm-core --with xlm-models FILE
"""

from mdlm.predictor_mdlm import MDLMPredictor

for settings in ({}, {"top_k": 5, "top_p": 0.9}):
    try:
        print(settings, MDLMPredictor(8, tokenizer=object(), **settings).sampling_function)
    except ValueError as error:
        print(settings, error)
