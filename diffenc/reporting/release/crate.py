"""ro-crate-metadata.json: a published folder for machines, as a Provenance Run Crate 0.5 (RO-Crate 1.1).

Files in the folder are data entities with size and sha256; images and weights that are not in it are named by their
sha256 alone. Host names and process numbers are left out.
"""

import mimetypes
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from diffenc.io.files import sha256_of
from diffenc.reporting.html.provenance import versions
from diffenc.reporting.release.citation import Citation, name_of
from diffenc.reporting.release.contents import CODE, SNAKEFILE, WEIGHTS
from diffenc.reporting.release.jobs import Job
from diffenc.study.stages import MODEL, PAGE, RUNS, STUDY
from diffenc.study.study import Study, study_folder

METADATA = "ro-crate-metadata.json"
_PROFILES = "https://w3id.org/ro/wfrun"
_VERSION = "0.5"
_TERMS = "https://w3id.org/ro/terms/workflow-run#"
_PACKAGE = f"{CODE}/diffenc"
_TYPES = {".md": "text/markdown", ".yaml": "text/yaml", ".jsonl": "application/jsonl", ".cff": "text/yaml"}
_TYPES |= {".npz": "application/zip", ".safetensors": "application/octet-stream", ".smk": "text/x-python"}
_DONE = "http://schema.org/CompletedActionStatus"
_NAMES = {STUDY: "The study", PAGE: "The page", RUNS: "Every run and term of the loss"}
_COSTS = {  # of a training, and their units
    "device_hours": ("Hours of all devices together", "http://qudt.org/vocab/unit/HR"),
    "peak_gib": ("The most memory of a device, GiB", "http://qudt.org/vocab/unit/GibiBYTE"),
}


def write_crate(
    study: Study, citation: Citation, jobs: list[Job], elsewhere: Mapping[str, str], code: str, out: Path
) -> None:
    """Write the metadata of all that is in the folder `out`.

    Args:
        study: that is published.
        citation: what the release says of itself.
        jobs: what made its files.
        elsewhere: sha256 of files that commands name and the folder does not have.
        code: the version of the code.
        out: the folder, complete but for the metadata.
    """
    crate = _Crate(study, citation, elsewhere, code, out)
    crate.describe_root()
    crate.add_files()
    crate.add_workflow(list(dict.fromkeys(job.rule for job in jobs)))
    for job in jobs:
        crate.add_job(job)
    crate.add_run(jobs)
    crate.written.metadata.write(out)


class _Crate:
    """The metadata that is being written."""

    def __init__(self, study: Study, citation: Citation, elsewhere: Mapping[str, str], code: str, out: Path) -> None:
        self.study, self.citation, self.elsewhere, self.code, self.out = study, citation, elsewhere, code, out
        self.written = ROCrate(version="1.1")
        self.written.metadata.extra_terms |= {name: f"{_TERMS}{name}" for name in ("sha256", "resourceUsage")}
        self.root = self.written.root_dataset
        self.place = cache(self._place)
        self.controls: list[ContextEntity] = []

    def add(self, place: str, kind: str, /, **properties: Any) -> ContextEntity:
        """An entity that is no file; a list of one is that one."""
        given = {name: _alone(value) for name, value in properties.items() if value not in (None, [])}
        return self.written.add(ContextEntity(self.written, place, {"@type": kind, **given}))

    def describe_root(self) -> None:
        """Title, authors, licence, profiles."""
        says = self.citation
        self.root["name"], self.root["description"] = says.title, says.description
        self.root["datePublished"] = says.released.isoformat()
        licence = f"https://spdx.org/licenses/{says.licence}"
        self.root["license"] = self.add(licence, "CreativeWork", name=says.licence, identifier=licence)
        self.authors = [self._author(one) for one in says.authors]
        self.root["author"] = _alone(self.authors)
        self.root["conformsTo"] = [
            self.add(f"{_PROFILES}/{name}/{_VERSION}", "CreativeWork", name=title, version=_VERSION)
            for name, title in (
                ("process", "Process Run Crate"),
                ("workflow", "Workflow Run Crate"),
                ("provenance", "Provenance Run Crate"),
            )
        ]
        workflow_crate = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
        self.root.append_to("conformsTo", self.add(workflow_crate, "CreativeWork", name="Workflow RO-Crate"))
        if says.paper and says.paper.get("url"):
            paper = self.add(says.paper["url"], "ScholarlyArticle", name=says.paper.get("title"))
            self.root["citation"] = paper

    def _author(self, author: dict[str, Any]) -> ContextEntity:
        name = name_of(author)
        identifier = author.get("orcid") or f"#{'-'.join(name.replace(',', '').split())}"
        kind = "Person" if author.get("family-names") else "Organization"
        return self.add(str(identifier), kind, name=name, affiliation=author.get("affiliation"))

    def add_files(self) -> None:
        """Every file in the folder but the package's own, which are one entity."""
        for path in sorted(path for path in self.out.rglob("*") if path.is_file()):
            file = str(path.relative_to(self.out))
            if file in (METADATA, f"{CODE}/{SNAKEFILE}") or file.startswith(f"{_PACKAGE}/"):
                continue
            given = {"about": {"@id": "./"}} if file == "README.md" else {}
            self.written.add_file(dest_path=file, properties=self._of_file(path) | given)
        text = "The package diffenc, whose commands the workflow's rules call."
        self.written.add_dataset(dest_path=f"{_PACKAGE}/", properties={"name": "diffenc", "description": text})

    def _of_file(self, path: Path) -> dict[str, Any]:
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        file = str(path.relative_to(self.out))
        return {
            "name": _NAMES.get(file, file),
            "contentSize": str(path.stat().st_size),
            "sha256": sha256_of(path),
            "encodingFormat": kind,
        }

    def add_workflow(self, rules: list[str]) -> None:
        """The Snakefile, its rules as steps, the command that each calls, and what all of it goes by."""
        snakefile = f"{CODE}/{SNAKEFILE}"
        said = self._of_file(self.out / snakefile) | {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "From data to tables, figures and page",
            "version": self.code,
        }
        workflow = self.written.add_workflow(dest_path=snakefile, properties=said, main=True, lang="snakemake")
        workflow["license"] = self.root["license"]
        (_, version), *packages = versions()
        workflow["softwareRequirements"] = [
            self.add(f"#{name}", "SoftwareApplication", name=name, softwareVersion=found) for name, found in packages
        ]
        self.tools = {
            rule: self.add(f"#tool/{rule}", "SoftwareApplication", name=f"diffenc, {rule}", softwareVersion=version)
            for rule in rules
        }
        workflow["hasPart"] = list(self.tools.values())
        self.steps = {
            rule: self.add(f"#step/{rule}", "HowToStep", name=rule, position=str(i), workExample=tool)
            for i, (rule, tool) in enumerate(self.tools.items(), start=1)
        }
        workflow["step"] = list(self.steps.values())
        workflow["input"] = self._parameter("study", STUDY)
        workflow["output"] = [self._parameter("runs", RUNS), self._parameter("page", PAGE)]
        self.workflow = workflow

    def _parameter(self, name: str, file: str) -> ContextEntity:
        entity = self.written.get(file)
        parameter = self.add(f"#{name}", "FormalParameter", name=name, additionalType="File", workExample=entity)
        entity["exampleOfWork"] = parameter
        return parameter

    def _place(self, name: str) -> Any:
        """The entity of a file that a command names: one in the folder, or one of which the sha256 is known."""
        results = study_folder(self.study)
        path = Path(name)
        inside = path.relative_to(results) if path.is_relative_to(results) else Path(CODE, name)
        if path.is_relative_to(results.parent / "data"):
            inside = path.relative_to(results.parent)
        if inside.name == MODEL:
            inside = WEIGHTS / inside.relative_to("runs")
        found = self.written.get(str(inside))
        said = {"name": name, "description": "Not in this folder.", "sha256": self.elsewhere.get(name)}
        return found or self.add(f"#file/{name}", "CreativeWork", **said)

    def add_job(self, job: Job) -> None:
        """What ran, what it read and what it made; and that Snakemake started it, if it did."""
        attempts = [
            f"Attempt {i}: steps {one['first']} to {one['last']} in {one['seconds']:.0f} s on {one['processes']}"
            f" {'process' if one['processes'] == 1 else 'processes'}, {one['ended'] or 'nobody knows what ended it'}."
            for i, one in enumerate(job.attempts, start=1)
        ]
        name = f"{job.rule}: {job.outputs[0]}"
        action = self.add(
            f"#job/{job.outputs[0]}",
            "CreateAction",
            name=name,
            description=" ".join([job.command, *attempts]),
            instrument=self.tools[job.rule],
            object=list(map(self.place, job.inputs)),
            result=list(map(self.place, job.outputs)),
            startTime=_time(job.start),
            endTime=_time(job.end),
            actionStatus=_DONE,
            resourceUsage=self._cost(job),
            identifier=[
                self.add(f"#slurm/{number}", "PropertyValue", name="SLURM job", propertyID="slurm_job", value=number)
                for number in job.slurm_jobs
            ],
        )
        self.root.append_to("mentions", action)
        if job.recorded:
            control = self.add(
                f"#control/{job.outputs[0]}",
                "ControlAction",
                name=f"Snakemake: {name}",
                instrument=self.steps[job.rule],
                object=action,
            )
            self.controls.append(control)

    def _cost(self, job: Job) -> list[ContextEntity]:
        return [
            self.add(
                f"#{name}/{job.outputs[0]}",
                "PropertyValue",
                name=text,
                propertyID=name,
                value=str(getattr(job.cost, name)),
                unitCode=unit,
            )
            for name, (text, unit) in (_COSTS.items() if job.cost else ())
        ]

    def add_run(self, jobs: list[Job]) -> None:
        """The whole, from the study to the page; and the engine, as far as it ran the jobs."""
        times = [(job.start, job.end) for job in jobs if job.recorded]
        start, end = (min(times)[0], max(end for _, end in times)) if times else (None, None)
        whole = self.add(
            "#run",
            "CreateAction",
            name=self.citation.title,
            description="The workflow, from the study's file to its page.",
            instrument=self.workflow,
            object=self.written.get(STUDY),
            result=[self.written.get(RUNS), self.written.get(PAGE)],
            agent=self.authors,
            startTime=_time(start),
            endTime=_time(end),
            actionStatus=_DONE,
        )
        self.root.append_to("mentions", whole)
        if self.controls:
            engine = self.written.get("#snakemake")
            self.add(
                "#engine",
                "OrganizeAction",
                name="Snakemake's run",
                instrument=engine,
                object=self.controls,
                result=whole,
                startTime=_time(start),
                endTime=_time(end),
            )


def _alone(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
