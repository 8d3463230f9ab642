//! Columns as the bytes of a block: one Arrow IPC stream with one batch, and a label that says what it
//! holds, so that a block in the place of another is found out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

use crate::store::{BlockReader, BlockRef, BlockWriter};

const LABEL: &str = "label";

/// A column of numbers.
pub(in crate::rules) fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), None))
}

/// Writes columns of one length as a block.
pub(in crate::rules) fn write(
    blocks: &mut BlockWriter,
    label: &str,
    columns: Vec<ArrayRef>,
) -> BlockRef {
    // Bytes in memory cannot fail to be written. Should they all the same, the block is empty and is
    // refused when it is read: what it stands for is rebuilt.
    blocks.add(&encode(label, columns).unwrap_or_default())
}

/// Columns of one length as bytes.
///
/// # Errors
/// Never, as far as is known: bytes in memory cannot fail to be written.
pub(in crate::rules) fn encode(label: &str, columns: Vec<ArrayRef>) -> Result<Vec<u8>, ArrowError> {
    let field = |(index, column): (usize, &ArrayRef)| {
        Field::new(index.to_string(), column.data_type().clone(), true)
    };
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    let metadata = HashMap::from([(LABEL.to_owned(), label.to_owned())]);
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(fields).with_metadata(metadata)), columns)?;
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema())?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(bytes)
}

/// The columns of a block, taken one after the other.
pub(in crate::rules) struct Table {
    columns: std::vec::IntoIter<ArrayRef>,
}

impl Table {
    /// Reads a block that was written with this label.
    ///
    /// # Errors
    /// When it cannot be read, or is another.
    pub(in crate::rules) fn read(
        blocks: &BlockReader,
        block: BlockRef,
        label: &str,
    ) -> Result<Self, String> {
        let bytes = blocks.read(block).map_err(|error| match error.detail {
            Some(detail) => format!("{}: {detail}", error.message),
            None => error.message,
        })?;
        Self::of(bytes, label)
    }

    /// The columns of bytes that were written with this label.
    ///
    /// # Errors
    /// When they cannot be read, or are others.
    pub(in crate::rules) fn of(bytes: Vec<u8>, label: &str) -> Result<Self, String> {
        // Arrow's reader panics on some bytes that no writer gives; a good checksum over such bytes must
        // not stop a start either.
        let decoded = std::panic::catch_unwind(|| decode(bytes)).map_err(|_| not_as_written())?;
        let batch = decoded.map_err(|error| error.to_string())?;
        if batch.schema().metadata().get(LABEL).is_none_or(|own| own != label) {
            return Err("a block stands in the place of another".to_owned());
        }
        Ok(Self { columns: batch.columns().to_vec().into_iter() })
    }

    /// The next column.
    pub(in crate::rules) fn column(&mut self) -> Result<ArrayRef, String> {
        self.columns.next().ok_or_else(|| "a column is missing".to_owned())
    }

    /// The next column, of numbers without a NULL.
    pub(in crate::rules) fn numbers<T: ArrowPrimitiveType>(
        &mut self,
    ) -> Result<Vec<T::Native>, String> {
        let column = self.column()?;
        let numbers = column.as_primitive_opt::<T>().filter(|numbers| numbers.null_count() == 0);
        numbers.map(|numbers| numbers.values().to_vec()).ok_or_else(not_as_written)
    }

    /// All columns that are left, of numbers.
    pub(in crate::rules) fn rest<T: ArrowPrimitiveType>(
        &mut self,
    ) -> Result<Vec<Vec<T::Native>>, String> {
        self.many::<T>(self.columns.len())
    }

    /// The next `n` columns of numbers.
    pub(in crate::rules) fn many<T: ArrowPrimitiveType>(
        &mut self,
        n: usize,
    ) -> Result<Vec<Vec<T::Native>>, String> {
        (0..n).map(|_| self.numbers::<T>()).collect()
    }
}

/// A column is not of the type that was written.
pub(in crate::rules) fn not_as_written() -> String {
    "a column is not as it was written".to_owned()
}

fn decode(bytes: Vec<u8>) -> Result<RecordBatch, ArrowError> {
    let mut bytes = Buffer::from_vec(bytes);
    let mut decoder = StreamDecoder::new();
    while !bytes.is_empty() {
        if let Some(batch) = decoder.decode(&mut bytes)? {
            return Ok(batch);
        }
    }
    Err(ArrowError::IpcError("the block holds no columns".to_owned()))
}
