//! Rows as JSON Lines, CSV or Parquet.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use crate::alert::write_json_lines;
use crate::{Error, Result};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    /// One JSON object a line.
    Jsonl,
    /// CSV with a header row.
    Csv,
    /// Parquet.
    Parquet,
}

enum Writer {
    Jsonl(Box<dyn Write + Send>),
    Csv(Box<arrow::csv::Writer<Box<dyn Write + Send>>>),
    Parquet(Box<ArrowWriter<Box<dyn Write + Send>>>),
}

/// Writes rows of one schema.
pub(super) struct Rows {
    name: String,
    /// `None` after the end.
    writer: Option<Writer>,
    /// The reader went away (`... | head`): no failure.
    pub(super) reader_gone: bool,
}

impl Rows {
    /// Writes to a file, or to standard output for `-`.
    pub(super) fn create(path: &Path, format: RowFormat, schema: &SchemaRef) -> Result<Self> {
        let name = if path == Path::new("-") {
            "standard output".into()
        } else {
            path.display().to_string()
        };
        let failed = |error: &dyn std::fmt::Display| {
            Error::unavailable("cannot write the rows").at(&name).detail(error.to_string())
        };
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(File::create(path).map_err(|error| failed(&error))?))
        };
        let mut writer = match format {
            RowFormat::Jsonl => Writer::Jsonl(out),
            RowFormat::Csv => {
                Writer::Csv(Box::new(arrow::csv::WriterBuilder::new().with_header(true).build(out)))
            }
            RowFormat::Parquet => Writer::Parquet(Box::new(
                ArrowWriter::try_new(out, schema.clone(), None).map_err(|error| failed(&error))?,
            )),
        };
        if let Writer::Csv(csv) = &mut writer {
            // The header is there also when no row is.
            csv.write(&RecordBatch::new_empty(schema.clone())).map_err(|error| failed(&error))?;
        }
        Ok(Self { name, writer: Some(writer), reader_gone: false })
    }

    /// Writes the rows of a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match &mut self.writer {
            Some(Writer::Jsonl(out)) => write_json_lines(batch, out).map_err(Fault::from),
            Some(Writer::Csv(csv)) => csv.write(batch).map_err(Fault::from),
            Some(Writer::Parquet(parquet)) => parquet.write(batch).map_err(Fault::from),
            None => Ok(()),
        };
        self.check(written)
    }

    /// Ends the file.
    pub(super) fn finish(&mut self) -> Result<()> {
        let out = match self.writer.take() {
            Some(Writer::Jsonl(out)) => Ok(out),
            Some(Writer::Csv(csv)) => Ok(csv.into_inner()),
            Some(Writer::Parquet(parquet)) => parquet.into_inner().map_err(Fault::from),
            None => return Ok(()),
        };
        let finished = out.and_then(|mut out| out.flush().map_err(Fault::from));
        self.check(finished)
    }

    fn check(&mut self, result: Result<(), Fault>) -> Result<()> {
        match result {
            Err(fault) if fault.broken_pipe => {
                self.reader_gone = true;
                Ok(())
            }
            Err(fault) => {
                Err(Error::unavailable("cannot write the rows").at(&self.name).detail(fault.text))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// What went wrong with a write.
struct Fault {
    broken_pipe: bool,
    text: String,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self { broken_pipe: error.kind() == io::ErrorKind::BrokenPipe, text: error.to_string() }
    }
}

impl From<ArrowError> for Fault {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => error.into(),
            error => Self { broken_pipe: false, text: error.to_string() },
        }
    }
}

impl From<ParquetError> for Fault {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => (*error).into(),
                Err(error) => Self { broken_pipe: false, text: error.to_string() },
            },
            error => Self { broken_pipe: false, text: error.to_string() },
        }
    }
}
