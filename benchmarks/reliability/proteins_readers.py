"""Readers of proteins: structures, sequences, contigs, lists of chains, the cache."""

import gzip
import io
import zipfile
from pathlib import Path

from reader import Reader, of_file, used_up
from recipes import _support, tiny


def structure(ending: str, home: Path) -> Reader:
    """A structure, with all that its chains are asked for before they are learned from."""
    from feller.proteins.structure.reading import Refusal, read_chains

    support = _support("structures")
    chains = {"A": support.chain(6), "B": support.chain(5, seed=1)}
    file = home / f"a.{ending}"
    support.write(support.atom_array(chains), file)
    valid = [file.read_bytes()]
    if ending == "pdb":
        valid.append(b"REMARK   2 RESOLUTION.    1.90 ANGSTROMS.\n" + valid[0])

    def read(file: Path) -> None:
        for found in read_chains(file):
            if isinstance(found, Refusal):
                if len(found.reason.splitlines()) != 1:
                    raise AssertionError(found.reason)
            else:
                assert (found.breaks, found.sequence, found.has_frame) is not None

    return of_file(file, valid, read)


def archive(home: Path) -> Reader:
    from feller.proteins.structure.reading import read_chains

    whole = structure("pdb", home).valid[0]
    valid = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", kind) as archive:
            archive.writestr("a.pdb", whole)
            archive.writestr("b.pdb.gz", gzip.compress(whole))
        valid.append(stream.getvalue())
    return of_file(home / "a.zip", valid, lambda file: used_up(read_chains(file)))


def fasta(home: Path) -> Reader:
    from feller.proteins.design.inputs import read_sequences

    valid = [b">a first\nMKXL\nAC\n>b\nGGG\n"]
    return of_file(home / "a.fasta", valid, lambda file: read_sequences(str(file)))


def contigs(home: Path) -> Reader:
    """Words of the command line."""
    from feller.proteins.design.contigs import parse_contigs
    from feller.proteins.design.inputs import length_range

    def read(data: bytes) -> None:
        text = data.decode("latin-1")
        parse = parse_contigs if b"A" in data else length_range
        parse(text)

    return Reader([b"10-20,A5-15,30", b"5-10,A163-181,B1-7", b"60-100", b"80"], read)


def cache(name: str, home: Path) -> Reader:
    """A file of the cache of structures."""
    from feller.proteins.data.mapped import read_portion
    from feller.proteins.data.shards import Shards

    recipe = tiny("proteins", home, 2)
    recipe.data.build("train")
    (index,) = (home / "cache").rglob("index.json")

    def read(file: Path) -> None:
        if name == "00000.json":
            read_portion(file)
        shards = Shards(index.parent)
        for i in range(len(shards)):
            shards[i], shards.residues(i)

    file = index.parent / name
    return of_file(file, [file.read_bytes()], read)


def list_of_chains(kind: str, home: Path) -> Reader:
    from feller.proteins.data.shards import Shards
    from feller.proteins.data.splits import Names, read_clusters, read_ids

    tiny("proteins", home, 2).data.build("train")
    (index,) = (home / "cache").rglob("index.json")
    shards = Shards(index.parent)
    names = Names(shards.names, shards.letters, shards.refused)
    read = {"ids.txt": read_ids, "clusters.csv": read_clusters}[kind]
    valid = {"ids.txt": b"h0\nh1\nh2_A\n", "clusters.csv": b"id,homology_group\nh0,1\nh1,2\n"}
    return of_file(home / kind, [valid[kind]], lambda file: read(str(file), names, strict=False))
