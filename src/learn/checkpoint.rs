//! What was learned as blocks, and back.

use serde::{Deserialize, Serialize};

use crate::config::LearnConfig;
use crate::store::{BlockReader, BlockRef, BlockWriter};
use crate::{Error, Result};

use super::account::{ACCOUNT_BYTES, is_sound};
use super::codec::Coded;
use super::memory::Memory;
use super::pairs::Pairs;
use super::service::Service;
use super::side::Side;
use super::slab::{Slab, damaged};
use super::staff::Staff;
use super::tries::Failing;
use super::values::{UNKNOWN, Values};
use super::{Learner, Settings, cold};

/// Of the layout of the blocks.
const VERSION: u32 = 1;

/// Where the blocks of a checkpoint lie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LearnerManifest {
    version: u32,
    head: Vec<BlockRef>,
    names: Vec<BlockRef>,
    accounts: Vec<BlockRef>,
    devices: Vec<BlockRef>,
    network: Vec<Vec<BlockRef>>,
    client: Vec<Vec<BlockRef>>,
    sharing: Vec<Vec<BlockRef>>,
    ip_devices: Vec<BlockRef>,
    touched: Vec<BlockRef>,
}

impl LearnerManifest {
    /// All blocks, so that their segments are kept.
    pub fn blocks(&self) -> impl Iterator<Item = BlockRef> {
        let single = [
            &self.head,
            &self.names,
            &self.accounts,
            &self.devices,
            &self.ip_devices,
            &self.touched,
        ];
        let many = [&self.network, &self.client, &self.sharing].into_iter().flatten();
        single.into_iter().chain(many).flatten().copied()
    }
}

impl Learner {
    /// Writes what changed since the last checkpoint.
    pub fn checkpoint(&mut self, writer: &mut BlockWriter) -> LearnerManifest {
        let memory = &mut self.memory;
        let head = vec![writer.add(&memory.head())];
        LearnerManifest {
            version: VERSION,
            head,
            names: memory.names.checkpoint(writer),
            accounts: memory.accounts.checkpoint(writer),
            devices: memory.devices.checkpoint(writer),
            network: memory.network.checkpoint(writer),
            client: memory.client.checkpoint(writer),
            sharing: memory.sharing.iter_mut().map(|pairs| pairs.checkpoint(writer)).collect(),
            ip_devices: memory.ip_devices.checkpoint(writer),
            touched: memory.touched.checkpoint(writer),
        }
    }

    /// A learner that goes on from a checkpoint. One that cannot be read gives a learner that knows
    /// nothing, and why.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn restore(
        config: &LearnConfig,
        manifest: &LearnerManifest,
        reader: &BlockReader,
    ) -> Result<(Self, Option<Error>)> {
        let settings = Settings::new(config)?;
        Ok(match restored(settings.clone(), manifest, reader) {
            Ok(memory) => (Self::with(memory), None),
            Err(error) => (Self::with(Memory::new(settings)), Some(cold(error))),
        })
    }
}

impl Memory {
    /// What is small.
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.day.encode(&mut out);
        self.service.encode(&mut out);
        self.staff.encode(&mut out);
        self.failing.iter().for_each(|failing| failing.encode(&mut out));
        out
    }

    fn read_head(&mut self, mut bytes: &[u8]) -> Option<()> {
        let bytes = &mut bytes;
        self.day = i32::decode(bytes)?;
        self.service = Service::decode(bytes)?;
        self.staff = Staff::decode(bytes)?;
        for failing in &mut self.failing {
            *failing = Failing::decode(self.settings.failing_max, bytes)?;
        }
        let is_sound = self.service.is_sound(self.settings.service_micros);
        (is_sound && bytes.is_empty()).then_some(())
    }

    /// Rebuilds what is not written: the way from names to accounts, sums, and whose turn it is to end.
    fn link_accounts(&mut self) -> Option<()> {
        for (slot, account) in self.accounts.iter() {
            let name = account.name as usize;
            if !is_sound(account) || self.names.get(account.name).is_none() {
                return None;
            }
            if self.account_of.len() <= name {
                self.account_of.resize(name + 1, UNKNOWN);
            }
            self.account_of[name] = slot;
            self.wheel.put(account.list_day, slot);
            self.n_logins += u64::from(account.n_logins);
            self.n_accounts += u64::from(account.n_logins > 0);
            self.budget.force(ACCOUNT_BYTES + account.list_bytes());
        }
        Some(())
    }
}

fn restored(
    settings: Settings,
    manifest: &LearnerManifest,
    reader: &BlockReader,
) -> Result<Memory> {
    if manifest.version != VERSION {
        return Err(Error::unavailable("what was learned is of another version"));
    }
    let [head] = manifest.head.as_slice() else { return Err(damaged()) };
    let mut memory = Memory::new(settings);
    memory.read_head(&reader.read(*head)?).ok_or_else(damaged)?;
    let budget = &mut memory.budget;
    memory.names = Values::restore(reader, &manifest.names, budget)?;
    memory.devices = Values::restore(reader, &manifest.devices, budget)?;
    memory.network = Side::restore(reader, &manifest.network, budget)?;
    memory.client = Side::restore(reader, &manifest.client, budget)?;
    let days = memory.settings.shared_days;
    if manifest.sharing.len() != memory.sharing.len() {
        return Err(damaged());
    }
    for (pairs, blocks) in memory.sharing.iter_mut().zip(&manifest.sharing) {
        *pairs = Pairs::restore(days, reader, blocks, budget)?;
    }
    memory.ip_devices = Pairs::restore(days, reader, &manifest.ip_devices, budget)?;
    memory.touched = Pairs::restore(1, reader, &manifest.touched, budget)?;
    memory.accounts = Slab::restore(reader, &manifest.accounts)?;
    memory.link_accounts().ok_or_else(damaged)?;
    Ok(memory)
}
