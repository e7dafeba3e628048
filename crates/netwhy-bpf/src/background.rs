//! A script that runs beside other work and hands over what it emits as typed records: begin, poll, end.
//!
//! Nothing is printed and nothing waits. What a script says other than by `emit()` is counted and left out.

use std::os::fd::{AsFd, BorrowedFd};

use netwhy_lang::program::{Action, Attach, MapSpec, ProgramSpec, RECORD_HEADER, Role};
use netwhy_sys::bpf::{RingReader, Update};
use netwhy_sys::{Errno, SysError};

use crate::attach::Attached;
use crate::kernel::Kernel;
use crate::load::Objects;
use crate::record::Record;
use crate::session::{RunError, counted, run_once};
use crate::value::{Reader, u32_at};

/// What a run lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Records that found no room in the ring.
    pub lost: u64,
    /// Updates of full maps.
    pub full: u64,
    /// Records that were no `emit()`.
    pub other: u64,
}

/// A running script. Its probes are links of this process: they are gone with it.
#[derive(Debug)]
pub struct Background<'a> {
    kernel: &'a Kernel,
    spec: ProgramSpec,
    objects: Objects,
    ring: Option<RingReader>,
    attached: Attached,
    other: u64,
}

impl<'a> Background<'a> {
    /// Loads the script, runs its `BEGIN` and attaches it.
    pub fn begin(spec: ProgramSpec, kernel: &'a Kernel) -> Result<Self, RunError> {
        let objects = Objects::load(&spec, kernel)?;
        let ring = spec.maps.iter().zip(&objects.maps).find(|(map, _)| map.role == Role::Ring);
        let ring = match ring {
            Some((map, made)) => Some(RingReader::new(made.duplicate()?, map.max_entries)?),
            None => None,
        };
        run_once(&spec, &objects, &Attach::Begin)?;
        let attached = Attached::attach(&spec, &objects, kernel)?;
        Ok(Background { kernel, spec, objects, ring, attached, other: 0 })
    }

    /// How many places are attached.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.attached.places
    }

    /// Sets an entry of a map of the script (without `@`) whose key and value are plain numbers.
    pub fn put(&self, map: &str, key: &[u64], value: u64) -> Result<(), RunError> {
        let named = |spec: &MapSpec| spec.role == Role::Script && spec.name.trim_start_matches('@') == map;
        let found = self.spec.maps.iter().zip(&self.objects.maps).find(|(spec, _)| named(spec));
        let missing = || SysError::new("bpf map update", format!("@{map}"), Errno::ENOENT);
        let (spec, made) = found.ok_or_else(missing)?;
        let key: Vec<u8> = key.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut bytes = value.to_ne_bytes().to_vec();
        if let Some(at) = spec.present {
            // A scalar says of itself that it is set.
            bytes.resize(spec.value_size as usize, 0);
            if let Some(word) = bytes.get_mut(at as usize..at as usize + 8) {
                word.copy_from_slice(&1_u64.to_ne_bytes());
            }
        }
        Ok(made.update(&key, &bytes, Update::Any)?)
    }

    /// Hands over what is there, at most `limit` records, without waiting; says how many there were.
    pub fn poll(&mut self, limit: usize, mut take: impl FnMut(Record<'_>)) -> usize {
        let Some(ring) = &mut self.ring else { return 0 };
        let (spec, other) = (&self.spec, &mut self.other);
        let stacks = spec.maps.iter().zip(&self.objects.maps).find(|(map, _)| map.role == Role::Stacks);
        let reader = Reader {
            symbols: self.kernel.symbols(),
            users: self.kernel.users(),
            stacks: stacks.map(|(_, made)| made),
            strlen: self.spec.config.max_strlen,
            trailer: "..",
        };
        ring.drain(limit, |bytes| match spec.actions.get(u32_at(bytes, 0) as usize) {
            Some(Action::Emit { name, fields }) => {
                let bytes = bytes.get(RECORD_HEADER as usize..).unwrap_or_default();
                take(reader.record(name, fields, bytes));
            }
            _ => *other += 1,
        })
    }

    /// Detaches, runs `END`, hands over what is left and counts what was lost.
    pub fn end(mut self, mut take: impl FnMut(Record<'_>)) -> Result<Ended, RunError> {
        self.attached = Attached::default();
        run_once(&self.spec, &self.objects, &Attach::End)?;
        // Detached: what is in the ring now is all there will be.
        while self.poll(usize::MAX, &mut take) > 0 {}
        Ok(Ended {
            lost: counted(&self.spec, &self.objects.maps, Role::Lost)?,
            full: counted(&self.spec, &self.objects.maps, Role::Full)?,
            other: self.other,
        })
    }

    /// Readable when there are records; `None` for a script that has nothing to say.
    #[must_use]
    pub fn waits_on(&self) -> Option<BorrowedFd<'_>> {
        self.ring.as_ref().map(AsFd::as_fd)
    }
}
