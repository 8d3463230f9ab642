//! An append-only column that forgets its oldest rows: the storage of a lane.

use std::collections::VecDeque;

/// Few rows in unit tests, so that they cross the borders of chunks.
const CHUNK_BITS: u32 = if cfg!(test) { 4 } else { 12 };
/// Rows of a chunk: what goes to the disk, and comes back, at once.
pub(crate) const CHUNK_ROWS: usize = 1 << CHUNK_BITS;

/// A column of a lane's log, addressed by absolute row index; rows below [`Log::trim`]'s mark are gone.
///
/// Chunks of a fixed size, so that memory follows the number of rows both up and down, without the
/// slack of a doubling vector.
#[derive(Debug)]
pub(crate) struct Log<T> {
    /// One that is on disk is empty.
    chunks: VecDeque<Box<[T]>>,
    /// Absolute index of the first row of the first chunk.
    base: u64,
    /// Absolute index one behind the newest row.
    end: u64,
    n_on_disk: usize,
}

impl<T: Copy + Default> Log<T> {
    pub(crate) fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty column whose first row will have the index `base`.
    pub(crate) fn starting_at(base: u64) -> Self {
        Self { chunks: VecDeque::new(), base, end: base, n_on_disk: 0 }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn extend(&mut self, mut rows: &[T]) {
        while !rows.is_empty() {
            let within = (self.end - self.base) as usize % CHUNK_ROWS;
            if within == 0 {
                self.chunks.push_back(vec![T::default(); CHUNK_ROWS].into_boxed_slice());
            }
            let n = rows.len().min(CHUNK_ROWS - within);
            let (now, later) = rows.split_at(n);
            if let Some(chunk) = self.chunks.back_mut() {
                chunk[within..within + n].copy_from_slice(now);
            }
            self.end += n as u64;
            rows = later;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    #[inline]
    pub(crate) fn get(&self, index: u64) -> T {
        debug_assert!(index >= self.base && index < self.end);
        let offset = (index - self.base) as usize;
        self.chunks[offset >> CHUNK_BITS][offset % CHUNK_ROWS]
    }

    #[inline]
    pub(crate) fn set(&mut self, index: u64, value: T) {
        debug_assert!(index >= self.base && index < self.end);
        let offset = (index - self.base) as usize;
        self.chunks[offset >> CHUNK_BITS][offset % CHUNK_ROWS] = value;
    }

    /// The rows `from..to`, in as few slices as the chunks allow.
    pub(crate) fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = &[T]> {
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let offset = (at - self.base) as usize;
            let within = offset % CHUNK_ROWS;
            let n = (CHUNK_ROWS - within).min((to - at) as usize);
            at += n as u64;
            Some(&self.chunks[offset >> CHUNK_BITS][within..within + n])
        })
    }

    /// Replaces `target` by the rows `from..to`.
    pub(crate) fn copy_range(&self, from: u64, to: u64, target: &mut Vec<T>) {
        target.clear();
        self.slices(from, to).for_each(|slice| target.extend_from_slice(slice));
    }

    /// First index of `from..to` whose row is not `below`, which holds for the rows before it.
    pub(crate) fn partition_point(&self, from: u64, to: u64, below: impl Fn(T) -> bool) -> u64 {
        let (mut from, mut to) = (from, to);
        while from < to {
            let middle = from + (to - from) / 2;
            if below(self.get(middle)) { from = middle + 1 } else { to = middle }
        }
        from
    }

    /// Frees the chunks that hold only rows below `index`.
    pub(crate) fn trim(&mut self, index: u64) {
        if index >= self.end {
            self.chunks.clear();
            (self.base, self.n_on_disk) = (self.end, 0);
        }
        while self.base + CHUNK_ROWS as u64 <= index && !self.chunks.is_empty() {
            let chunk = self.chunks.pop_front();
            self.n_on_disk -= usize::from(chunk.is_some_and(|chunk| chunk.is_empty()));
            self.base += CHUNK_ROWS as u64;
        }
    }

    /// Index of the first row of the first chunk.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The chunk that begins with the row `first`.
    pub(crate) fn chunk(&self, first: u64) -> &[T] {
        &self.chunks[(first - self.base) as usize >> CHUNK_BITS]
    }

    /// Frees the chunk that begins with the row `first`: its rows are elsewhere.
    pub(crate) fn free_chunk(&mut self, first: u64) {
        self.chunks[(first - self.base) as usize >> CHUNK_BITS] = Box::default();
        self.n_on_disk += 1;
    }

    /// Puts the rows of a chunk back.
    pub(crate) fn put_chunk(&mut self, first: u64, rows: Box<[T]>) {
        self.chunks[(first - self.base) as usize >> CHUNK_BITS] = rows;
        self.n_on_disk -= 1;
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        (self.chunks.len() - self.n_on_disk) * CHUNK_ROWS * size_of::<T>()
            + self.chunks.capacity() * size_of::<Box<[T]>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_addressable_until_their_chunk_is_trimmed() {
        let mut log = Log::new();
        let rows: Vec<u64> = (0..20_000).collect();
        for piece in rows.chunks(777) {
            log.extend(piece);
        }
        log.trim(9_000);
        let mut copy = Vec::new();
        log.copy_range(9_000, 20_000, &mut copy);
        assert_eq!(copy, rows[9_000..]);
        log.set(12_345, 7);
        assert_eq!((log.get(12_344), log.get(12_345)), (12_344, 7));
    }

    #[test]
    fn an_emptied_log_keeps_no_chunk() {
        let mut log = Log::new();
        log.extend(&vec![1u32; 4 * CHUNK_ROWS]);
        log.trim(log.end());
        assert_eq!(log.chunks.len(), 0);
        log.extend(&[5]);
        assert_eq!(log.get(4 * CHUNK_ROWS as u64), 5);
    }
}
