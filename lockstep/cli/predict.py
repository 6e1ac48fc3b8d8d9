"""`lockstep predict`: ask an endpoint for the outputs for the rows of a file."""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from lockstep.cli.completion import complete_specs
from lockstep.cli.examples import examples
from lockstep.cli.options import loaded_spec
from lockstep.cli.tables import print_table

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstep.client import Answer, Client, Prediction
    from lockstep.client.sources import Format

# Rows that are read, sent and written at a time; and of a table that a person looks at.
BATCH_ROWS, SHOWN_ROWS = 10_000, 100
# Smaller files are done before a bar is of use.
BAR_BYTES = 4 * 2**20
KINDS = ("table", "json", "jsonl", "csv", "parquet")
EXAMPLES = examples(
    "lockstep predict http://127.0.0.1:8080 flights.csv",
    "lockstep predict http://127.0.0.1:8080 flights.parquet --output parquet=scores.parquet --with-inputs",
    "cat rows.jsonl | lockstep predict grpc://127.0.0.1:8081 --model flight_delay --output csv",
    "lockstep predict https://scores.example.com day.csv --ca ca.pem --key-file key.txt",
)
OfSpec = Annotated[
    str | None,
    typer.Option(help="The model of a folder below models/, instead of --model.", autocompletion=complete_specs),
]


def command(
    url: Annotated[str, typer.Argument(metavar="URL", help="http://host:port, or with https, grpc or grpcs.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="Rows; - or nothing: standard input.")] = "-",
    *,
    model: Annotated[str | None, typer.Option(help="Registered model; without it, the endpoint's default.")] = None,
    spec: OfSpec = None,
    version: Annotated[int | None, typer.Option(min=1, help="A loaded version; without it, what answers now.")] = None,
    protocol: Annotated[
        Literal["mlflow", "v2", "grpc"] | None, typer.Option(help="Without it, grpc for such a URL, else v2.")
    ] = None,
    file_format: Annotated[
        Literal["auto", "csv", "json", "jsonl", "parquet", "arrow"], typer.Option("--format", help="Of the rows.")
    ] = "auto",
    output: Annotated[
        str | None,
        typer.Option(metavar="KIND[=PATH]", help=f"{', '.join(KINDS)}. Without it, a table on a terminal, else jsonl."),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Only so many rows, the first ones.")] = None,
    with_inputs: Annotated[
        bool, typer.Option("--with-inputs", help="The columns of the rows beside the outputs.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option(help="File that holds an API key or a token.")] = None,
    token_env: Annotated[str | None, typer.Option(metavar="NAME", help="Environment variable that holds one.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificates that vouch for the endpoint.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate of this client.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="Its private key, if in another file.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for each 10,000 rows, tries included.")] = 60.0,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--no-progress", help="A bar. Without either, on a terminal, for large files."),
    ] = None,
) -> None:
    """Ask an endpoint for the outputs for the rows of a file.

    Rows are CSV, JSON (records, or a body of MLflow's protocol), JSON lines, Parquet or Arrow. They are read, sent and
    written in pieces, so that a file may be larger than the memory. A file that is written appears when it is complete.
    On a terminal a table of the first 100 rows is shown, and no further ones are sent. Who answered is said on standard
    error.
    """
    if model is not None and spec is not None:
        raise typer.BadParameter("give --model or --spec, not both")
    kind, path = _output(output)
    limit = rows if rows is not None else (SHOWN_ROWS if kind == "table" else None)
    if file == "-" and sys.stdin.isatty():
        raise typer.BadParameter("name a file, or give rows on standard input")
    from lockstep.client import Client

    client = Client(
        url,
        protocol=protocol,
        token=_secret(key_file, token_env),
        timeout_s=timeout,
        ca=ca,
        certificate=certificate,
        key=certificate_key,
    )
    name = loaded_spec(spec).spec.model.name if spec is not None else model
    asked = Asked(file, file_format, limit, name, None if version is None else str(version), with_inputs, progress)
    with client, _opened(file) as stream:
        _tell(_predictions(client, stream, asked), kind, path)


@dataclass(frozen=True)
class Asked:
    """What is asked, and about which rows."""

    file: str
    file_format: str
    rows: int | None
    model: str | None
    version: str | None
    with_inputs: bool
    progress: bool | None

    @property
    def title(self) -> str:
        """What errors call the rows."""
        return "standard input" if self.file == "-" else self.file


def _predictions(
    client: "Client", stream: io.BufferedReader, asked: Asked
) -> Iterator[tuple["pa.Table", "Prediction"]]:
    """Yield what is to be written for each batch, and its prediction; without any row, once for none."""
    from lockstep.client.answers import schema_of
    from lockstep.client.sinks import with_outputs
    from lockstep.client.sources import format_of, read_batches
    from lockstep.client.streaming import first_rows, predicted, rows_of

    inputs = client.metadata(asked.model, version=asked.version).inputs
    kind = format_of(asked.file, stream) if asked.file_format == "auto" else cast("Format", asked.file_format)
    batches = read_batches(
        stream, kind, name=asked.title, inputs=inputs, rows=min(asked.rows or BATCH_ROWS, BATCH_ROWS)
    )
    batches = batches if asked.rows is None else first_rows(batches, asked.rows)
    first = next(batches, None)
    whole = chain([schema_of(inputs).empty_table() if first is None else first], batches)
    with _bar(stream, asked, by_place=kind in {"csv", "jsonl"}) as moved:
        for batch, prediction in predicted(client, whole, model=asked.model, version=asked.version):
            yield with_outputs(batch if asked.with_inputs else None, prediction, inputs=inputs), prediction
            moved(rows_of(batch))


def _tell(found: Iterable[tuple["pa.Table", "Prediction"]], kind: str, path: Path | None) -> None:
    """Show or write what is found, and say who answered."""
    try:
        answers = _shown(found) if kind == "table" else _written(found, kind, path)
    except BrokenPipeError:  # as by `| head`; the rest of what waits to be written has no reader
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    told = "; ".join(dict.fromkeys(str(answer) for answer in answers))
    print(f"{sum(answer.rows for answer in answers):,} rows by {told}", file=sys.stderr)


def _shown(found: Iterable[tuple["pa.Table", "Prediction"]]) -> list["Answer"]:
    """Show all rows as one table."""
    parts = list(found)
    answers = [answer for _, prediction in parts for answer in prediction.answers]
    rows = [row for table, _ in parts for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
    print_table(f"{answers[0].model} version {answers[0].version}", parts[0][0].column_names, rows)
    return answers


def _written(found: Iterable[tuple["pa.Table", "Prediction"]], kind: str, path: Path | None) -> list["Answer"]:
    """Write rows as they are answered, to a new file or to standard output."""
    from lockstep.client.sinks import WRITERS, NewFile

    answers: list[Answer] = []
    with NewFile(path) if path is not None else contextlib.nullcontext(sys.stdout.buffer) as stream:
        writer = WRITERS[kind](stream)
        for table, prediction in found:
            writer.write(table)
            answers += prediction.answers
        writer.close()
        stream.flush()
    return answers


def _output(text: str | None) -> tuple[str, Path | None]:
    if text is None:
        return ("table" if sys.stdout.isatty() else "jsonl"), None
    kind, _, path = text.partition("=")
    if kind not in KINDS or text.endswith("="):
        raise typer.BadParameter(f"{text!r}; expected one of {', '.join(KINDS)}, or KIND=PATH", param_hint="--output")
    if kind == "table" and path:
        raise typer.BadParameter("a table is for people; choose another kind for a file", param_hint="--output")
    if kind == "parquet" and not path:
        raise typer.BadParameter("Parquet needs a file: parquet=PATH", param_hint="--output")
    return kind, Path(path) if path else None


def _secret(key_file: Path | None, token_env: str | None) -> str | None:
    from lockstep.client import TargetInvalid

    if key_file is not None and token_env is not None:
        raise typer.BadParameter("give --key-file or --token-env, not both")
    if token_env is not None:
        if token_env not in os.environ:
            raise TargetInvalid(f"the environment variable {token_env} of --token-env is not set")
        return os.environ[token_env].strip()
    if key_file is None:
        return None
    try:
        return key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise TargetInvalid(f"the file {key_file} of --key-file cannot be read: {problem}") from error


@contextlib.contextmanager
def _opened(file: str) -> Iterator[io.BufferedReader]:
    from lockstep.client.errors import FileUnfit

    if file == "-":
        stdin: Any = sys.stdin.buffer
        yield stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin)
        return
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            raise FileUnfit(file, problem=str(error.strerror)) from error
        yield stream


@contextlib.contextmanager
def _bar(stream: io.BufferedReader, asked: Asked, *, by_place: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, for a file on a terminal; the body says how many rows are done."""
    size = Path(asked.file).stat().st_size if asked.file != "-" else 0
    wanted = asked.progress if asked.progress is not None else sys.stderr.isatty() and size >= BAR_BYTES
    if not wanted:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    done, total = 0, size if by_place and size else None
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predict", total=total, rows=0)

        def moved(rows: int) -> None:
            nonlocal done
            done += rows
            progress.update(task, rows=done, completed=stream.tell() if total else None)

        yield moved
