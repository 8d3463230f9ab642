//! A table of items with numbers that stay, in pages: a checkpoint writes the pages that changed.

use crate::store::{BlockReader, BlockRef, BlockWriter};
use crate::{Error, Result};

use super::codec::Coded;

/// Items of a page.
const PAGE: usize = 256;

#[derive(Debug)]
struct Page<T> {
    /// Never more than [`PAGE`], for which there is room from the start: a table grows by pages and is
    /// never copied.
    items: Vec<Option<T>>,
    is_changed: bool,
    block: Option<BlockRef>,
}

/// Items by number; the number of one that is gone is used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Page<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0 }
    }
}

fn place(id: u32) -> (usize, usize) {
    (id as usize / PAGE, id as usize % PAGE)
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let (page, index) = place(id);
        self.pages.get(page)?.items.get(index)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let (page, index) = place(id);
        let page = self.pages.get_mut(page)?;
        let item = page.items.get_mut(index)?.as_mut()?;
        page.is_changed = true;
        Some(item)
    }

    pub(super) fn insert(&mut self, item: T) -> u32 {
        self.len += 1;
        if let Some(id) = self.free.pop() {
            let (page, index) = place(id);
            let page = &mut self.pages[page];
            page.items[index] = Some(item);
            page.is_changed = true;
            return id;
        }
        if self.pages.last().is_none_or(|page| page.items.len() == PAGE) {
            let items = Vec::with_capacity(PAGE);
            self.pages.push(Page { items, is_changed: true, block: None });
        }
        let number = self.pages.len() - 1;
        let page = &mut self.pages[number];
        page.items.push(Some(item));
        page.is_changed = true;
        (number * PAGE + page.items.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let (page, index) = place(id);
        let page = self.pages.get_mut(page)?;
        let item = page.items.get_mut(index)?.take()?;
        page.is_changed = true;
        self.free.push(id);
        self.len -= 1;
        Some(item)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let items = self.pages.iter().enumerate().flat_map(|(number, page)| {
            page.items.iter().enumerate().map(move |(index, item)| (number * PAGE + index, item))
        });
        items.filter_map(|(id, item)| Some((id as u32, item.as_ref()?)))
    }
}

impl<T: Coded> Slab<T> {
    /// Writes the pages that changed; gives the blocks of all.
    pub(super) fn checkpoint(&mut self, writer: &mut BlockWriter) -> Vec<BlockRef> {
        let mut bytes = Vec::new();
        let blocks = self.pages.iter_mut().map(|page| match page.block {
            Some(block) if !page.is_changed && writer.can_keep(block) => block,
            _ => {
                bytes.clear();
                page.items.encode(&mut bytes);
                let block = writer.add(&bytes);
                (page.is_changed, page.block) = (false, Some(block));
                block
            }
        });
        blocks.collect()
    }

    /// The table that was written.
    ///
    /// # Errors
    /// When a block is damaged.
    pub(super) fn restore(reader: &BlockReader, blocks: &[BlockRef]) -> Result<Self> {
        let mut slab = Self::default();
        for (number, &block) in blocks.iter().enumerate() {
            let is_last = number + 1 == blocks.len();
            let items = decode_page(&reader.read(block)?, is_last).ok_or_else(damaged)?;
            slab.len += items.iter().flatten().count();
            slab.pages.push(Page { items, is_changed: false, block: Some(block) });
        }
        for (number, page) in slab.pages.iter().enumerate().rev() {
            let items = page.items.iter().enumerate().rev();
            let free = items.filter(|(_, item)| item.is_none());
            slab.free.extend(free.map(|(index, _)| (number * PAGE + index) as u32));
        }
        Ok(slab)
    }
}

/// Only the last page may be short.
fn decode_page<T: Coded>(mut bytes: &[u8], is_last: bool) -> Option<Vec<Option<T>>> {
    let mut items = Vec::<Option<T>>::decode(&mut bytes)?;
    let is_sound = if is_last { (1..=PAGE).contains(&items.len()) } else { items.len() == PAGE };
    items.reserve_exact(PAGE.saturating_sub(items.len()));
    (is_sound && bytes.is_empty()).then_some(items)
}

/// What the bytes say cannot be.
pub(super) fn damaged() -> Error {
    Error::unavailable("what was learned cannot be read back")
        .detail("a block holds what no block can hold")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pages_that_did_not_change_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut slab = Slab::default();
        let ids: Vec<u32> = (0..3 * PAGE as u64).map(|n| slab.insert(n)).collect();
        slab.remove(ids[300]);
        let mut writer = BlockWriter::create(folder.path(), 1, HashSet::new()).unwrap();
        let first = slab.checkpoint(&mut writer);
        writer.finish().unwrap();
        *slab.get_mut(5).unwrap() = 99;
        let mut writer = BlockWriter::create(folder.path(), 2, HashSet::from([1])).unwrap();
        let second = slab.checkpoint(&mut writer);
        writer.finish().unwrap();
        assert_eq!((first[1], first[2]), (second[1], second[2]));
        assert_ne!(first[0], second[0]);
        let back = Slab::<u64>::restore(&BlockReader::new(folder.path()), &second).unwrap();
        assert_eq!(back.iter().collect::<Vec<_>>(), slab.iter().collect::<Vec<_>>());
        assert_eq!((back.get(5), back.get(300), back.len()), (Some(&99), None, 3 * PAGE - 1));
    }

    #[test]
    fn a_number_that_is_free_is_used_again() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!((slab.remove(first), slab.remove(first)), (Some('a'), None));
        assert_eq!((slab.insert('b'), slab.len()), (first, 1));
    }
}
