"""From a study's results to a folder that one can upload by hand: checked, copied, described."""

import shutil
import tempfile
from pathlib import Path

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.io.files import write_file
from diffenc.reporting.html import provenance
from diffenc.reporting.release import cards
from diffenc.reporting.release.citation import ZENODO, Citation, cff, read_citation, zenodo
from diffenc.reporting.release.contents import (
    CITATION,
    WEIGHTS,
    Weights,
    copy_code,
    copy_small_files,
    copy_weights,
    small_files,
)
from diffenc.reporting.release.crate import write_crate
from diffenc.reporting.release.jobs import jobs
from diffenc.reporting.release.macros import numbers
from diffenc.reporting.verify import complaints
from diffenc.study.stages import MODEL
from diffenc.study.study import Run, Study, run_folder, study_folder

NUMBERS = "numbers.tex"


def publish(study: Study, folder: Path, published: Path, out: Path) -> list[str]:
    """Write the release of results/STUDY, `folder`, as the new folder `out`, whole or not at all.

    The code, and CITATION.cff with authors and licence, are those of the working directory. Nothing is uploaded.

    Returns:
        What was written, and how to upload it, a line each.

    Raises:
        UserError: the study is not whole, `out` is there or cannot be written, or the working directory is no
            checkout.
    """
    if out.exists():
        raise UserError(f"--out: {out} is there; name a new folder")
    prepared = folder.parent / "data"
    if found := list(dict.fromkeys(complaints(study, folder, prepared, published))):
        more = f" (and {len(found) - 1} more: `diffenc verify {folder}`)" if len(found) > 1 else ""
        raise UserError(f"{folder}: is not whole, so it is not published: {found[0]}{more}")
    citation = read_citation(Path(CITATION), study.title, _description(study))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch) / out.name
            weights = _fill(study, folder, prepared, citation, made)
            made.rename(out)
    except (OSError, shutil.Error) as error:
        raise UserError(f"--out: {out} cannot be written ({error}); free space, or name another folder")
    return [*_said(out, weights), *_commands(study, out)]


def _description(study: Study) -> str:
    runs = study.all_runs
    kinds = dict.fromkeys((run.model, run.schedule) for run in runs)
    models = [model if by == "fixed" else f"{model} with a {by} schedule" for model, by in kinds]
    titles = ", ".join(study.spec(name).title for name in study.datasets)
    seeds = len({run.seed for run in runs})
    return (
        f"Likelihood-based diffusion models on {titles}: {len(runs)} runs of {len(models)} models"
        f" ({', '.join(models)}), {seeds} {'seed' if seeds == 1 else 'seeds'}, with evaluations, tables, figures and"
        " what they are made of."
    )


def _fill(study: Study, folder: Path, prepared: Path, citation: Citation, out: Path) -> dict[Run, Weights]:
    """Write all of it into a folder; the metadata last, which describe the rest."""
    code = f"diffenc {dict(provenance.versions())['diffenc']}, commit {provenance.commit()}"
    copy_small_files(study, folder, prepared, out)
    weights = copy_weights(study, folder, out)
    copy_code(study, Path(), out)
    for run in (run for run, one in weights.items() if one.here):
        manifest = data.manifest(out / "data" / run.dataset)
        write_file(out / WEIGHTS / run.path / cards.README, cards.card(study, run, citation, manifest, out))
    write_file(out / cards.README, cards.readme(study, citation, weights, code))
    write_file(out / CITATION, cff(citation))
    write_file(out / ZENODO, zenodo(citation))
    write_file(out / NUMBERS, numbers(study, folder))
    results = study_folder(study)
    elsewhere = {str(run_folder(results, run) / MODEL): one.sha256 for run, one in weights.items()}
    for name in study.datasets:
        manifest = data.manifest(out / "data" / name)
        elsewhere |= {f"{results.parent}/data/{name}/{of}.npy": manifest[of]["sha256"] for of in ("train", "test")}
    write_crate(study, citation, jobs(study, folder, small_files(study, folder)), elsewhere, code, out)
    return weights


def _said(out: Path, weights: dict[Run, Weights]) -> list[str]:
    files = [path for path in out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    here = sum(one.here for one in weights.values())
    lines = [f"{out}: {len(files):,} files, {size:,.1f} MB, the weights of {here} of {len(weights)} runs"]
    for why in dict.fromkeys(one.why for one in weights.values() if not one.here):
        count = sum(one.why == why for one in weights.values())
        runs = "run" if count == 1 else "runs"
        lines.append(f"without the weights of {count} {runs}: {why}; weights.sha256 has their checksums")
    return lines


def _commands(study: Study, out: Path) -> list[str]:
    """How to upload it; nothing of it was done."""
    zenodo_api = "https://zenodo.org/api/deposit/depositions"
    header = '-H "Authorization: Bearer $ZENODO_TOKEN"'
    return [
        f"Nothing was uploaded. Read {out}/{cards.README} and {out}/{CITATION} first; then, to Hugging Face:",
        f"  hf upload YOUR_NAME/{study.name} {out} . --repo-type model",
        "or to Zenodo, which answers with links.bucket, and with links.html where you publish it:",
        f"  (cd {out} && zip -qr - .) > {study.name}.zip",
        f'  curl {header} --json "{{\\"metadata\\": $(cat {out}/{ZENODO})}}" {zenodo_api}',
        f"  curl {header} --upload-file {study.name}.zip LINKS_BUCKET/{study.name}.zip",
    ]
