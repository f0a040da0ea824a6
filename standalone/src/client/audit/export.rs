//! `triad audit export`: a file that is whole, or none.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::Response;

use super::events;
use super::filter::{Filter, Order, Range};
use crate::client::api::Call;
use crate::client::context::Context;
use crate::client::error::ClientError;

/// Between looks at how far it is.
const PROGRESS: Duration = Duration::from_millis(200);

/// Which events are exported, and how.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    range: Range,
    #[command(flatten)]
    filter: Filter,
    /// Which come first
    #[arg(long)]
    order: Option<Order>,
    /// The form of the file [default: as its name ends, or ndjson]
    #[arg(long)]
    format: Option<FileFormat>,
    /// Where it is written; what is there is replaced once all has come. `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileFormat {
    /// A JSON object a line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl FileFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Self::Csv,
            Some("parquet") => Self::Parquet,
            _ => Self::Ndjson,
        }
    }
}

pub(super) async fn run(ctx: &mut Context, args: &ExportArgs) -> Result<(), ClientError> {
    let format = args.format.unwrap_or_else(|| FileFormat::of(&args.file));
    let is_stdout = args.file == Path::new("-");
    if is_stdout && format == FileFormat::Parquet && std::io::stdout().is_terminal() {
        return Err(ClientError::Usage(
            "parquet is for no terminal: name a file with -f".to_owned(),
        ));
    }
    let call = args.filter.apply(events(ctx, &["export"])?.about("the export"));
    let call = args.range.apply(ctx, call)?;
    let call = call.query("order", args.order).query("format", Some(format.as_str()));
    let response = ctx.api.stream(&call).await?;
    if is_stdout {
        let (bytes, _) = pour(ctx, &call, response, None).await?;
        return done(ctx, bytes, "stdout");
    }
    let part = Part::beside(&args.file)?;
    let (bytes, part) = pour(ctx, &call, response, Some(part)).await?;
    if let Some(part) = part {
        part.finish(&args.file)?;
    }
    done(ctx, bytes, &args.file.display().to_string())
}

fn done(ctx: &mut Context, bytes: u64, name: &str) -> Result<(), ClientError> {
    if ctx.out.is_watched {
        ctx.out.progress("");
        ctx.out.note(&format!("{} in {name}", shown(bytes)));
    }
    ctx.out.flush()
}

/// Writes what comes. A body that broke off is an error: it has no end then.
async fn pour(
    ctx: &mut Context,
    call: &Call,
    mut response: Response,
    mut part: Option<Part>,
) -> Result<(u64, Option<Part>), ClientError> {
    let (mut bytes, begun, mut told) = (0, Instant::now(), Instant::now());
    loop {
        let chunk = response.chunk().await.map_err(|error| ctx.api.broken(call, &error))?;
        let Some(chunk) = chunk else { return Ok((bytes, part)) };
        match &mut part {
            Some(part) => part.write(&chunk)?,
            None => ctx.out.bytes(&chunk)?,
        }
        bytes += chunk.len() as u64;
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let seconds = begun.elapsed().as_secs();
            ctx.out.progress(&format!("{}, {seconds} s", shown(bytes)));
        }
    }
}

fn shown(bytes: u64) -> String {
    const STEP: f64 = 1024.0;
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < STEP {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= STEP;
    }
    format!("{size:.1} TiB")
}

/// A file that is not whole yet, under a name of its own; removed unless it is finished.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: fs::File,
    is_finished: bool,
}

impl Part {
    fn beside(target: &Path) -> Result<Self, ClientError> {
        let name = target
            .file_name()
            .ok_or_else(|| ClientError::Usage(format!("{} is no file", target.display())))?;
        let part = format!(".{}.{:08x}.part", name.to_string_lossy(), rand::random::<u32>());
        let path = target.with_file_name(part);
        let file = fs::OpenOptions::new().create_new(true).write(true).open(&path);
        let file = file.map_err(ClientError::file(target))?;
        Ok(Self { path, file, is_finished: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.file.write_all(bytes).map_err(ClientError::file(&self.path))
    }

    fn finish(mut self, target: &Path) -> Result<(), ClientError> {
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.path, target));
        finished.map_err(ClientError::file(target))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            // It may be gone; then there is nothing to remove.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_form() {
        for (name, format) in [
            ("a.csv", FileFormat::Csv),
            ("a.parquet", FileFormat::Parquet),
            ("-", FileFormat::Ndjson),
        ] {
            assert_eq!(FileFormat::of(Path::new(name)), format);
        }
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1536), "1.5 KiB");
        assert_eq!(shown(5 << 40), "5.0 TiB");
    }
}
