//! The data files of one kind, in the order in which they are asked.

use std::net::IpAddr;
use std::path::PathBuf;

use super::answer::Answer;
use super::data_file::{DataFile, DataKind, DataVersion};
use super::mmdb::{Mmdb, is_mmdb};
use super::table::Table;
use crate::Result;

/// One data file, of either shape.
enum Source {
    Mmdb(Box<Mmdb>),
    Table(Table),
}

/// All files of one kind.
#[derive(Default)]
pub(super) struct Sources {
    all: Vec<Source>,
    /// Records that could not be read, since the start.
    pub(super) failures: u64,
}

impl Sources {
    /// Reads the files of a list.
    ///
    /// # Errors
    /// When one is missing, damaged, or about something else.
    pub(super) fn read(
        kind: DataKind,
        paths: &[PathBuf],
        versions: &mut Vec<DataVersion>,
    ) -> Result<Self> {
        let mut sources = Self::default();
        for path in paths {
            let mut file = DataFile::read(kind, path)?;
            let (source, holds) = if is_mmdb(&file.bytes) {
                let mmdb = Mmdb::open(&mut file)?;
                versions.push(file.version(Some(mmdb.build_epoch())));
                let holds = mmdb.sample(&file)?;
                (Source::Mmdb(Box::new(mmdb)), holds)
            } else if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("mmdb")) {
                return Err(file
                    .refuse(None, "an MMDB file is damaged")
                    .detail("the end of the file, which describes the rest, is not there")
                    .hint("download it again: it was cut short, or is still packed"));
            } else {
                let table = Table::read(&file)?;
                versions.push(file.version(None));
                let holds = table.holds();
                (Source::Table(table), holds)
            };
            check_use(kind, &file, holds)?;
            sources.all.push(source);
        }
        Ok(sources)
    }

    /// The first answer of which `part` makes something.
    pub(super) fn find<T>(
        &mut self,
        address: IpAddr,
        part: impl Fn(&Answer) -> Option<T>,
    ) -> Option<T> {
        for source in &self.all {
            let found = match source {
                Source::Table(table) => table.find(address).and_then(&part),
                Source::Mmdb(mmdb) => match mmdb.find(address) {
                    Ok(answer) => answer.as_ref().and_then(&part),
                    // A damaged record is as good as none; the counter tells.
                    Err(_) => {
                        self.failures += 1;
                        None
                    }
                },
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// Refuses a file that says nothing of what it is named for.
fn check_use(kind: DataKind, file: &DataFile, (place, operator): (bool, bool)) -> Result<()> {
    let (has_it, wanted, other) = match kind {
        DataKind::City => (place, "country, city or position", "enrich.asn"),
        _ => (operator, "number or organisation of a network", "enrich.city"),
    };
    if has_it {
        return Ok(());
    }
    let error = file.refuse(None, format!("a data file has no {wanted}"));
    Err(if place || operator {
        error.hint(format!("it belongs into `{other}`"))
    } else {
        error.hint("`docs/enrichment.md` lists the layouts that are known")
    })
}
