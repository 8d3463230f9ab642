//! The columns of one chunk of a lane's log as bytes, and back.
//!
//! Numbers are laid out byte by byte, all lowest bytes first: most upper bytes are 0, and runs of them
//! shrink to nothing.

use super::log::CHUNK_ROWS;

/// A number of a column.
pub(crate) trait Number: Copy + Default {
    /// Bytes of it.
    const BYTES: usize;
    fn bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

macro_rules! number {
    ($own:ty, $bits:expr) => {
        impl Number for $own {
            const BYTES: usize = size_of::<$own>();
            #[inline]
            fn bits(self) -> u64 {
                $bits(self)
            }
            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as $own
            }
        }
    };
}

number!(u8, u64::from);
number!(u32, u64::from);
number!(u64, std::convert::identity);
number!(i64, i64::cast_unsigned);

/// Appends a column.
pub(crate) fn write<T: Number>(rows: &[T], bytes: &mut Vec<u8>) {
    for byte in 0..T::BYTES {
        bytes.extend(rows.iter().map(|row| (row.bits() >> (8 * byte)) as u8));
    }
}

/// Appends a column of numbers that grow: what each adds to the one before, beginning at 0.
pub(crate) fn write_ascending<T: Number>(rows: &[T], bytes: &mut Vec<u8>) {
    let mut before = 0;
    let steps: Vec<T> = rows
        .iter()
        .map(|row| {
            T::from_bits(row.bits().wrapping_sub(std::mem::replace(&mut before, row.bits())))
        })
        .collect();
    write(&steps, bytes);
}

/// Takes a column off the front; `None` when there are too few bytes.
pub(crate) fn read<T: Number>(bytes: &mut &[u8]) -> Option<Box<[T]>> {
    let (own, rest) = bytes.split_at_checked(CHUNK_ROWS * T::BYTES)?;
    *bytes = rest;
    let mut bits = [0u64; CHUNK_ROWS];
    for (byte, plane) in own.chunks_exact(CHUNK_ROWS).enumerate() {
        bits.iter_mut().zip(plane).for_each(|(bits, part)| *bits |= u64::from(*part) << (8 * byte));
    }
    Some(bits.iter().map(|bits| T::from_bits(*bits)).collect())
}

/// Takes a column off the front that [`write_ascending`] has written.
pub(crate) fn read_ascending<T: Number>(bytes: &mut &[u8]) -> Option<Box<[T]>> {
    let mut rows: Box<[T]> = read(bytes)?;
    let mut before = 0u64;
    for row in &mut rows {
        before = before.wrapping_add(row.bits());
        *row = T::from_bits(before);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back() {
        let times: Vec<i64> = (0..CHUNK_ROWS as i64).map(|row| row * row - 5_000_000).collect();
        let rows: Vec<u32> =
            (0..CHUNK_ROWS as u32).map(|row| (u32::MAX - 9).wrapping_add(row)).collect();
        let values: Vec<u64> =
            (0..CHUNK_ROWS as u64).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let masks: Vec<u8> = rows.iter().map(|row| (row % 251) as u8).collect();
        let mut bytes = Vec::new();
        write_ascending(&times, &mut bytes);
        write_ascending(&rows, &mut bytes);
        write(&values, &mut bytes);
        write(&masks, &mut bytes);
        let mut left = bytes.as_slice();
        assert_eq!(read_ascending(&mut left), Some(times.into_boxed_slice()));
        assert_eq!(read_ascending(&mut left), Some(rows.into_boxed_slice()));
        assert_eq!(read(&mut left), Some(values.into_boxed_slice()));
        assert_eq!(read(&mut left), Some(masks.into_boxed_slice()));
        assert_eq!(read::<u8>(&mut left), None);
    }
}
