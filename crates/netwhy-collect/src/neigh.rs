//! Neighbours (RTM_GETNEIGH) and the limits of their tables (RTM_GETNEIGHTBL).

use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_facts::neigh::{NeighTable, NeighTables, Neighbour, Neighbours, Nud};
use netwhy_facts::{Family, Reading};
use netwhy_sys::Errno;
use netwhy_sys::netlink::{NetlinkError, Protocol};
use netwhy_wire::netlink::{Attributes, Builder, Fixed};

use crate::collector::{Collector, read_text};
use crate::decode::{Decoded, header, mac, structure};
use crate::error::CollectError;
use crate::route::{AF_INET, AF_INET6, USER_HZ};

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTM_NEWNEIGHTBL: u16 = 64;
const RTM_GETNEIGHTBL: u16 = 66;
/// `struct ndmsg`.
const HEADER: usize = 12;
/// `struct ndtmsg`.
const TABLE_HEADER: usize = 4;
const NDA_DST: u16 = 1;
const NDA_IFINDEX: u16 = 8;
const NTF_PROXY: u8 = 0x08;
/// More entries than this are not kept.
const BOUND: usize = 20_000;

/// Which neighbours to read; the kernel does the choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighFilter<'a> {
    /// Every entry, for `netwhy facts`.
    All,
    /// The entries of these devices, proxies included.
    Devices(&'a [u32]),
    /// Exactly these: device and address. Asked one by one, so that a full table costs nothing (since 5.0).
    Entries(&'a [(u32, IpAddr)]),
}

impl Collector {
    /// Neighbour entries. One that does not exist is simply not in the list; more than 20,000 are `Failed`.
    pub fn neighbours(&self, filter: NeighFilter<'_>) -> Reading<Neighbours> {
        Self::reading("RTM_GETNEIGH", "access to the network namespace", || {
            let mut found = Vec::new();
            match filter {
                NeighFilter::All => self.neigh_dump(None, &mut found)?,
                NeighFilter::Devices(devices) => {
                    for device in devices {
                        self.neigh_dump(Some(*device), &mut found)?;
                    }
                }
                NeighFilter::Entries(entries) => {
                    for (device, address) in entries {
                        found.extend(self.neigh_entry(*device, *address)?);
                    }
                }
            }
            Ok(Neighbours(found))
        })
    }

    fn neigh_dump(&self, device: Option<u32>, found: &mut Vec<Neighbour>) -> Result<(), CollectError> {
        let wrong = CollectError::attribute("RTM_GETNEIGH");
        for flags in [0, NTF_PROXY] {
            let mut header = [0; HEADER];
            header[10] = flags;
            let mut request = Builder::with_header(&header);
            if let Some(device) = device {
                request.u32(NDA_IFINDEX, device);
            }
            let room = BOUND.saturating_sub(found.len());
            let (part, complete) = self.dump_bounded(
                Protocol::Route,
                RTM_GETNEIGH,
                &request.finish()?,
                |all: &mut Vec<Neighbour>, kind, payload| {
                    if kind == RTM_NEWNEIGH
                        && let Some(entry) = decode_neighbour(payload).map_err(&wrong)?
                        // A kernel without strict checking ignores the filter.
                        && device.is_none_or(|device| device == entry.ifindex)
                        && entry.proxy == (flags == NTF_PROXY)
                    {
                        all.push(entry);
                    }
                    Ok(if all.len() > room { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                },
            )?;
            if !complete {
                let detail = format!("more than {BOUND} entries, or changing all the time");
                return Err(CollectError::malformed("neighbour table", detail));
            }
            found.extend(part);
        }
        Ok(())
    }

    fn neigh_entry(&self, device: u32, address: IpAddr) -> Result<Option<Neighbour>, CollectError> {
        let mut header = [0; HEADER];
        header[0] = if address.is_ipv4() { AF_INET } else { AF_INET6 };
        header[4..8].copy_from_slice(&device.to_ne_bytes());
        let mut request = Builder::with_header(&header);
        request.ip(NDA_DST, address);
        let payload = request.finish()?;
        let answer = self.netlink(Protocol::Route, |socket| {
            match socket.request(RTM_GETNEIGH, 0, &payload) {
                Ok(replies) => Ok(Some(replies)),
                Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::ENOENT => Ok(Some(Vec::new())),
                // Before 5.0 there is only the listing.
                Err(error) if error.is_unsupported() => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        let Some(replies) = answer else {
            let mut all = Vec::new();
            self.neigh_dump(Some(device), &mut all)?;
            return Ok(all.into_iter().find(|entry| entry.addr == address && !entry.proxy));
        };
        let reply = replies.iter().find(|reply| reply.kind == RTM_NEWNEIGH);
        let decoded = reply.map(|reply| decode_neighbour(&reply.payload)).transpose();
        Ok(decoded.map_err(CollectError::attribute("RTM_GETNEIGH"))?.flatten())
    }

    /// Limits and statistics of the neighbour tables.
    pub fn neigh_tables(&self) -> Reading<NeighTables> {
        Self::reading("RTM_GETNEIGHTBL", "access to the network namespace", || {
            let wrong = CollectError::attribute("RTM_GETNEIGHTBL");
            let mut tables = self.dump(
                Protocol::Route,
                RTM_GETNEIGHTBL,
                &[0; TABLE_HEADER],
                |all: &mut Vec<NeighTable>, kind, payload| {
                    if kind == RTM_NEWNEIGHTBL {
                        all.extend(decode_neigh_table(payload).map_err(&wrong)?);
                    }
                    Ok(())
                },
            )?;
            for table in &mut tables {
                let name = if table.family == Family::Inet { "arp_cache" } else { "ndisc_cache" };
                // Only the first namespace has the file, and the counter is in no message.
                let path = self.proc("1/net/stat").join(name);
                let source = path.display().to_string();
                table.unres_discards = Self::reading(&source, "CAP_SYS_PTRACE", || {
                    let absent = || CollectError::malformed("neighbour statistics", "no such column");
                    column(&read_text(&path)?, "unresolved_discards").ok_or_else(absent)
                });
            }
            Ok(NeighTables(tables))
        })
    }
}

/// The sum over all CPUs of a column of `/proc/net/stat/arp_cache`: names on the first line, hexadecimal below.
pub fn column(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let index = lines.next()?.split_whitespace().position(|word| word == name)?;
    let value = |line: &str| u64::from_str_radix(line.split_whitespace().nth(index)?, 16).ok();
    lines.try_fold(0, |sum: u64, line| Some(sum.wrapping_add(value(line)?)))
}

/// One entry from an RTM_NEWNEIGH message (uapi `linux/neighbour.h`, NDA_*); `None` if it is neither IPv4 nor
/// IPv6.
pub fn decode_neighbour(payload: &[u8]) -> Decoded<Option<Neighbour>> {
    let fixed = header(payload, HEADER)?;
    if !matches!(fixed.u8(0), Some(AF_INET | AF_INET6)) {
        return Ok(None);
    }
    let flags = fixed.u8(10).unwrap_or(0);
    let mut address = None;
    let mut entry = Neighbour {
        ifindex: fixed.u32(4).unwrap_or(0),
        addr: IpAddr::from([0; 4]),
        lladdr: None,
        state: nud(fixed.u16(8).unwrap_or(0)),
        flags: flags.into(),
        proxy: flags & NTF_PROXY != 0,
        probes: 0,
        confirmed_ms: None,
        used_ms: None,
        updated_ms: None,
    };
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            NDA_DST => address = Some(attribute.ip()?),
            2 => entry.lladdr = Some(mac(attribute.payload)),
            3 => {
                let cache = structure(&attribute, 16)?;
                let ms = |offset| cache.u32(offset).map(|ticks| u64::from(ticks) * u64::from(1000 / USER_HZ));
                (entry.confirmed_ms, entry.used_ms, entry.updated_ms) = (ms(0), ms(4), ms(8));
            }
            4 => entry.probes = attribute.u32()?,
            // NDA_FLAGS_EXT: NTF_EXT_*, above the eight bits of the header.
            15 => entry.flags |= attribute.u32()? << 8,
            _ => {}
        }
    }
    Ok(address.map(|addr| Neighbour { addr, ..entry }))
}

/// NUD_*: one bit each.
fn nud(state: u16) -> Nud {
    match state {
        0x01 => Nud::Incomplete,
        0x02 => Nud::Reachable,
        0x04 => Nud::Stale,
        0x08 => Nud::Delay,
        0x10 => Nud::Probe,
        0x20 => Nud::Failed,
        0x40 => Nud::Noarp,
        0x80 => Nud::Permanent,
        _ => Nud::None,
    }
}

/// One table from an RTM_NEWNEIGHTBL message (NDTA_*); `None` for one device's parameters, which come as
/// messages of their own, and for tables of other families.
pub fn decode_neigh_table(payload: &[u8]) -> Decoded<Option<NeighTable>> {
    let fixed = header(payload, TABLE_HEADER)?;
    let family = match fixed.u8(0) {
        Some(AF_INET) => Family::Inet,
        Some(AF_INET6) => Family::Inet6,
        _ => return Ok(None),
    };
    let mut table = NeighTable {
        family,
        entries: 0,
        gc_thresh1: 0,
        gc_thresh2: 0,
        gc_thresh3: 0,
        res_failed: 0,
        unres_discards: Reading::NotAsked,
        table_fulls: 0,
        forced_gc_runs: 0,
    };
    let mut whole = false;
    for attribute in Attributes::after(payload, TABLE_HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            2 => table.gc_thresh1 = attribute.u32()?,
            3 => table.gc_thresh2 = attribute.u32()?,
            4 => table.gc_thresh3 = attribute.u32()?,
            5 => {
                whole = true;
                table.entries = structure(&attribute, 8)?.u32(4).unwrap_or(0);
            }
            7 => statistics(structure(&attribute, 8 * 10)?, &mut table),
            _ => {}
        }
    }
    Ok(whole.then_some(table))
}

/// `struct ndt_stats`; `table_fulls` is younger than the rest (4.3).
fn statistics(stats: Fixed<'_>, table: &mut NeighTable) {
    let at = |index: usize| stats.u64(index * 8).unwrap_or(0);
    table.res_failed = at(3);
    table.forced_gc_runs = at(9);
    table.table_fulls = at(10);
}
