"""EdgeSys'22's evaluation done again, with networks trained here.

    python -m studies.edgesys22 --cifar10 cifar-10-batches-bin --catdog catdog64 --budget 3.5

Trains, profiles, plans, and writes what comes out as tables and figures. What was interrupted goes on where it was.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import offramp
from offramp.errors import Fault, OfframpError, refuse
from offramp.files import read_profile, write_profile
from offramp.nn.training import jobs
from offramp.nn.training.run import Run
from offramp.pipeline.progress import Progress, reporting
from offramp.pipeline.train import tell_training
from studies.edgesys22 import document, prediction, results, schedule, training
from studies.edgesys22.results import Results
from studies.edgesys22.schedule import Schedule
from studies.edgesys22.subjects import Subject, subjects


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the study, or what is left of it."""
    options = _options(arguments)
    found = options.out / "results.json"
    refuse(_faults(options, found))
    if not options.write_only:
        options.work.mkdir(parents=True, exist_ok=True)
        options.out.mkdir(parents=True, exist_ok=True)
        chosen = subjects(
            cifar10=options.cifar10, catdog=options.catdog, inception=not options.without_inception, work=options.work
        )
        settled = schedule.settle(options.work / "schedule.json", chosen, options.budget)
        ledger = training.Ledger(options.work / "spent.json", settled.processors)
        trained = {each: _train(each, settled, ledger, options.work) for each in chosen}
        for subject, run in trained.items():
            _profile(subject, run, options)
        results.write(_results(trained, settled, ledger, options.out), found)
    document.write(results.read(found), options.out)
    print(f"{options.out / 'README.md'}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m studies.edgesys22", description=__doc__.split("\n")[0])
    parser.add_argument("--cifar10", type=Path, help="folder with CIFAR-10's binary batches")
    parser.add_argument("--catdog", type=Path, help="folder with a folder per class; without it, no cats and dogs")
    parser.add_argument("--budget", type=float, help="CPU hours that training may take; needed to begin with")
    parser.add_argument("--without-inception", action="store_true", help="leave Inception V3 out, the slowest")
    parser.add_argument("--repeats", type=int, help="of every time measured; of partitions a quarter")
    parser.add_argument("--work", type=Path, default=Path("runs/edgesys22"), help="where networks are kept")
    parser.add_argument("--out", type=Path, default=results.HERE, help="where the page, figures and profiles go")
    parser.add_argument("--write-only", action="store_true", help="from the results there are; needs no data")
    return parser.parse_args(arguments)


def _faults(options: argparse.Namespace, found: Path) -> Iterator[Fault]:
    for name in ("work", "out"):
        if (path := getattr(options, name)).exists() and not path.is_dir():
            yield Fault(f"--{name}", f"{path} is a file", "give a folder")
    if options.write_only:
        if not found.is_file():
            yield Fault("--out", f"there is no {found}", "do the study first: leave --write-only out")
        return
    if options.cifar10 is None:
        yield Fault("--cifar10", "is missing", "give the folder with CIFAR-10's binary batches, or --write-only")
    if options.budget is not None and not options.budget > 0:
        yield Fault("--budget", f"{options.budget:g} is no time to train in", "give CPU hours, e.g. 3.5")
    if options.repeats is not None and options.repeats < 4:
        yield Fault("--repeats", f"{options.repeats} are too few", "give at least 4, or leave it out")


def _train(subject: Subject, settled: Schedule, ledger: training.Ledger, work: Path) -> Run:
    """All networks of a subject."""
    epochs = settled.epochs[subject.key]
    print(f"{subject.title}: {epochs}", file=sys.stderr)
    begun = training.begin(subject, settled, work / subject.key)
    with reporting(True) as tell:
        tell_training(ledger.metered(subject.key, begun.train(jobs.local_runner())), tell)
    run = begun.finished()
    if epochs.final:
        with reporting(True) as tell:
            tell_training(ledger.metered("figure-3", training.train_finals(run, epochs.final)), tell)
    return run


def _profile(subject: Subject, run: Run, options: argparse.Namespace) -> None:
    """Measure a subject's full configuration, unless that was done, and put the profile where results go."""
    kept = run.folder / "profile.json"
    if not kept.exists():
        repeats = options.repeats or subject.repeats
        with reporting(True) as tell:

            def tell_subject(progress: Progress) -> None:
                tell(replace(progress, stage=f"{subject.key}: {progress.stage}"))

            offramp.profile(run, out=kept, repeats=repeats, progress=tell_subject)
    path = results.profile_path(options.out, subject.key)
    path.parent.mkdir(exist_ok=True)
    write_profile(read_profile(kept), path)


def _results(trained: dict[Subject, Run], settled: Schedule, ledger: training.Ledger, out: Path) -> Results:
    first, run = next(iter(trained.items()))
    profile = read_profile(results.profile_path(out, first.key))
    with reporting(True) as tell:
        trials = results.kept_trials(
            run.folder / "trials.json",
            lambda: prediction.trials(run, profile, lambda done: tell(Progress("figure 3", done))),
        )
    return Results(
        budget_h=settled.budget_h,
        processors=settled.processors,
        bf16=settled.bf16,
        spent_s=ledger.read(),
        trained={each.key: results.trained(run, each.title, settled.epochs[each.key]) for each, run in trained.items()},
        trials=trials,
    )


if __name__ == "__main__":
    try:
        main()
    except OfframpError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, the same command goes on", file=sys.stderr)
        sys.exit(130)
