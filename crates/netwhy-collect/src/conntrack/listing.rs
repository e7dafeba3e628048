//! The table as a stream: every entry that fits a filter, events as they happen, expectations, statistics of
//! each CPU. Nothing is kept, so memory does not grow with the table.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netwhy_facts::conntrack::{CtChange, CtCpuStats, CtExpect, CtListed, CtTuple};
use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};

use super::filter::CtFilter;
use super::message;
use super::{CT_GET, GET_STATS_CPU};
use crate::collector::Collector;
use crate::error::CollectError;
use crate::fields::Fields;
use crate::kernel::CTNETLINK;

const SUBSYSTEM: u16 = 1 << 8;
const GET_ZEROED: u16 = SUBSYSTEM | 3;
const GET_STATS: u16 = SUBSYSTEM | 5;
const GET_DYING: u16 = SUBSYSTEM | 6;
const GET_UNCONFIRMED: u16 = SUBSYSTEM | 7;
const EXPECT_SUBSYSTEM: u16 = 2 << 8;
const EXPECT_GET: u16 = EXPECT_SUBSYSTEM | 1;

/// Which list of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtTable {
    /// Connections.
    Confirmed,
    /// Connections, whose counters are set to zero by the reading.
    Zeroed,
    /// Ended, not yet gone.
    Dying,
    /// Not yet in the table.
    Unconfirmed,
}

/// What came of a listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CtSeen {
    /// Entries the kernel sent.
    pub received: u64,
    /// The table changed while it was read, so that entries may be missing or appear twice.
    pub interrupted: bool,
}

/// A stop that an event listener gives: what has been lost, what remains.
#[derive(Debug)]
pub enum CtEvent<'a> {
    /// Something happened to an entry; `port` is the netlink port of the program that caused it, 0 if none did.
    Entry(CtChange, &'a CtListed, u32),
    /// Something happened to an expectation.
    Expect(CtChange, &'a CtExpect),
    /// Events were lost here: the socket's buffer was full.
    Lost,
    /// Nothing came for a while.
    Idle,
}

impl Collector {
    /// Streams the entries of a table that fit.
    pub fn conntrack_list(
        &self,
        table: CtTable,
        filter: &CtFilter,
        mut each: impl FnMut(&CtListed) -> ControlFlow<()>,
    ) -> Result<CtSeen, CollectError> {
        self.require(CTNETLINK)?;
        let kind = match table {
            CtTable::Confirmed => CT_GET,
            CtTable::Zeroed => GET_ZEROED,
            CtTable::Dying => GET_DYING,
            CtTable::Unconfirmed => GET_UNCONFIRMED,
        };
        self.netlink(Protocol::Netfilter, |_| Ok(()))?;
        // A listing that is given up is closed with its socket.
        let mut socket = self.inside(|| Socket::open(Protocol::Netfilter))??;
        let mut seen = CtSeen::default();
        let result = socket.dump(kind, 0, &filter.request().finish()?, |_, payload| {
            seen.received += 1;
            match message::listed(payload) {
                Some(one) if filter.matches(&one) => each(&one),
                _ => ControlFlow::Continue(()),
            }
        });
        match result {
            Ok(()) => Ok(seen),
            // What was written cannot be taken back, so it is told instead of read again.
            Err(NetlinkError::Interrupted { .. }) => Ok(CtSeen { interrupted: true, ..seen }),
            Err(error) => Err(error.into()),
        }
    }

    /// The entry that holds a tuple in either direction.
    pub fn conntrack_get(
        &self,
        tuple: &CtTuple,
        zone: Option<u16>,
    ) -> Result<Option<CtListed>, CollectError> {
        self.require(CTNETLINK)?;
        let mut request = message::exact(tuple);
        if let Some(zone) = zone {
            request.be16(18, zone);
        }
        let request = request.finish()?;
        self.netlink(Protocol::Netfilter, |socket| match socket.request(CT_GET, 0, &request) {
            Ok(replies) => Ok(replies.first().and_then(|reply| message::listed(&reply.payload))),
            Err(error) if error.errno().is_some_and(|errno| errno.name() == "ENOENT") => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// How many entries the namespace has (CTA_STATS_GLOBAL_ENTRIES).
    pub fn conntrack_count(&self) -> Result<u32, CollectError> {
        self.require(CTNETLINK)?;
        self.netlink(Protocol::Netfilter, |socket| {
            let replies = socket.request(GET_STATS, 0, &[0, 0, 0, 0])?;
            let first = replies.first().and_then(|reply| reply.payload.get(4..));
            first
                .and_then(|attributes| Fields::of(attributes).be32(1))
                .ok_or_else(|| CollectError::malformed("IPCTNL_MSG_CT_GET_STATS", "no count in the answer"))
        })
    }

    /// Statistics of each CPU.
    pub fn conntrack_cpu_stats(&self) -> Result<Vec<CtCpuStats>, CollectError> {
        self.require(CTNETLINK)?;
        self.netlink(Protocol::Netfilter, |socket| {
            let replies = socket.dump_vec(GET_STATS_CPU, 0, &[0, 0, 0, 0])?;
            Ok(replies.iter().map(|reply| message::cpu_stats(&reply.payload)).collect())
        })
    }

    /// Streams the expectations.
    pub fn conntrack_expectations(&self, mut each: impl FnMut(&CtExpect)) -> Result<(), CollectError> {
        self.require(CTNETLINK)?;
        self.netlink(Protocol::Netfilter, |socket| {
            let all = socket.dump_vec(EXPECT_GET, 0, &[0, 0, 0, 0])?;
            all.iter().filter_map(|reply| message::expectation(&reply.payload)).for_each(|one| each(&one));
            Ok(())
        })
    }

    /// Hands over events of the groups (`NFNLGRP_CONNTRACK_NEW` 1, `_UPDATE` 2, `_DESTROY` 3 and 4 to 6 for
    /// expectations) until `each` breaks. `Idle` comes at least twice a second, so that `each` can stop.
    pub fn conntrack_events(
        &self,
        groups: &[u32],
        buffer: Option<usize>,
        mut each: impl FnMut(CtEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(), CollectError> {
        self.require(CTNETLINK)?;
        self.netlink(Protocol::Netfilter, |_| Ok(()))?;
        let mut socket = self.inside(|| Socket::open(Protocol::Netfilter))??;
        if let Some(bytes) = buffer {
            socket.set_receive_buffer(bytes)?;
        }
        for group in groups {
            socket.join(*group)?;
        }
        loop {
            let mut flow = ControlFlow::Continue(());
            let result = socket.recv_events(Instant::now() + Duration::from_millis(200), |event| {
                let new = if event.flags & netwhy_sys::netlink::NLM_F_CREATE != 0 {
                    CtChange::New
                } else {
                    CtChange::Update
                };
                flow = match event.kind & 0xff {
                    _ if event.kind >> 8 == 2 => match message::expectation(event.payload) {
                        Some(one) => {
                            let change = if event.kind & 0xff == 2 { CtChange::Destroy } else { new };
                            each(CtEvent::Expect(change, &one))
                        }
                        None => ControlFlow::Continue(()),
                    },
                    kind => match message::listed(event.payload) {
                        Some(one) => {
                            let change = if kind == 2 { CtChange::Destroy } else { new };
                            each(CtEvent::Entry(change, &one, event.port))
                        }
                        None => ControlFlow::Continue(()),
                    },
                };
                flow
            });
            match result {
                Ok(()) => {}
                Err(NetlinkError::Lost { .. }) => flow = each(CtEvent::Lost),
                Err(error) => return Err(error.into()),
            }
            if flow.is_break() || each(CtEvent::Idle).is_break() {
                return Ok(());
            }
        }
    }
}
