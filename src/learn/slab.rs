//! A table of items with numbers that stay, in pages: a checkpoint writes the pages that changed.

use crate::store::{BlockReader, BlockRef, BlockWriter};
use crate::{Error, Result};

use super::codec::Coded;

/// Items of a page.
const PAGE: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Page {
    is_changed: bool,
    block: Option<BlockRef>,
}

/// Items by number; the number of one that is gone is used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
    pages: Vec<Page>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new(), pages: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.items.get(id as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let item = self.items.get_mut(id as usize)?.as_mut()?;
        self.pages[id as usize / PAGE].is_changed = true;
        Some(item)
    }

    pub(super) fn insert(&mut self, item: T) -> u32 {
        let id = self.free.pop().unwrap_or(self.items.len() as u32);
        match self.items.get_mut(id as usize) {
            Some(place) => *place = Some(item),
            None => self.items.push(Some(item)),
        }
        self.change(id);
        id
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let item = self.items.get_mut(id as usize)?.take()?;
        self.free.push(id);
        self.change(id);
        Some(item)
    }

    fn change(&mut self, id: u32) {
        let page = id as usize / PAGE;
        if page == self.pages.len() {
            self.pages.push(Page { is_changed: true, block: None });
        }
        self.pages[page].is_changed = true;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let items = self.items.iter().enumerate();
        items.filter_map(|(id, item)| Some((id as u32, item.as_ref()?)))
    }
}

impl<T: Coded> Slab<T> {
    /// Writes the pages that changed; gives the blocks of all.
    pub(super) fn checkpoint(&mut self, writer: &mut BlockWriter) -> Vec<BlockRef> {
        let mut bytes = Vec::new();
        let pages = self.pages.iter_mut().zip(self.items.chunks(PAGE));
        let blocks = pages.map(|(page, items)| match page.block {
            Some(block) if !page.is_changed && writer.can_keep(block) => block,
            _ => {
                bytes.clear();
                encode_page(items, &mut bytes);
                let block = writer.add(&bytes);
                *page = Page { is_changed: false, block: Some(block) };
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
        for &block in blocks {
            let bytes = reader.read(block)?;
            let mut page = decode_page(&bytes).ok_or_else(damaged)?;
            let first = slab.items.len();
            if !first.is_multiple_of(PAGE) {
                return Err(damaged());
            }
            slab.items.append(&mut page);
            slab.pages.push(Page { is_changed: false, block: Some(block) });
        }
        let items = slab.items.iter().enumerate();
        let free = items.filter(|(_, item)| item.is_none()).map(|(id, _)| id as u32);
        slab.free = free.rev().collect();
        Ok(slab)
    }
}

fn encode_page<T: Coded>(items: &[Option<T>], out: &mut Vec<u8>) {
    items.len().encode(out);
    items.iter().for_each(|item| item.encode(out));
}

fn decode_page<T: Coded>(mut bytes: &[u8]) -> Option<Vec<Option<T>>> {
    let page = Vec::<Option<T>>::decode(&mut bytes)?;
    ((1..=PAGE).contains(&page.len()) && bytes.is_empty()).then_some(page)
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
