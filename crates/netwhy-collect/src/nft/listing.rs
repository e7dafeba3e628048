//! The ruleset as it is listed: everything of one generation, with the elements of the sets that are asked
//! for, however many. They are kept as the kernel sent them, some 30 bytes each, and decoded one by one.

use std::ops::ControlFlow;

use netwhy_facts::nft::{Nft, NftElem, NftSet};
use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};

use super::{
    GETCHAIN, GETFLOWTABLE, GETOBJ, GETRULE, GETSET, GETSETELEM, GETTABLE, TRIES, ask_generation, chain,
    decode_compat, elements_request, flowtable, header, list, list_or_none, mark_compat, message, object,
    rule, set, table,
};
use crate::collector::Collector;
use crate::error::CollectError;
use crate::fields;
use crate::kernel::NF_TABLES;

/// The ruleset of one generation.
#[derive(Debug, Default)]
pub struct NftListing {
    /// Everything but the elements of named sets; those of anonymous sets are there.
    pub nft: Nft,
    /// The elements of the sets of `nft.sets`, in their order; `None` where they were not asked for.
    pub elements: Vec<Option<NftElements>>,
}

/// Elements of one set, undecoded.
#[derive(Debug, Default)]
pub struct NftElements {
    bytes: Vec<u8>,
    /// Where each begins, and its length.
    places: Vec<(u32, u32)>,
}

impl NftElements {
    fn push(&mut self, nest: &[u8]) {
        if let (Ok(start), Ok(length)) = (u32::try_from(self.bytes.len()), u32::try_from(nest.len())) {
            self.bytes.extend_from_slice(nest);
            self.places.push((start, length));
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// There are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The element at a place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<NftElem> {
        self.places.get(at).map(|place| message::element(self.nest(*place)))
    }

    /// Every element in turn, decoded when it is reached.
    pub fn iter(&self) -> impl Iterator<Item = NftElem> + '_ {
        self.places.iter().map(|place| message::element(self.nest(*place)))
    }

    /// Sorts by key: byte by byte, or from the last byte for values the kernel keeps in the host's order.
    /// Of equal keys an interval's end comes first; catch-all elements come last.
    pub fn sort(&mut self, host_order: bool) {
        let NftElements { bytes, places } = self;
        let key_of = |place: &(u32, u32)| {
            let (start, length) = (place.0 as usize, place.1 as usize);
            message::element_key(bytes.get(start..start.saturating_add(length)).unwrap_or(&[]))
        };
        places.sort_by_cached_key(|place| {
            let (key, flags) = key_of(place);
            let mut key = key.to_vec();
            if host_order && cfg!(target_endian = "little") {
                key.reverse();
            }
            (flags & 2 != 0, key, flags & 1 == 0)
        });
    }

    fn nest(&self, (start, length): (u32, u32)) -> &[u8] {
        let start = start as usize;
        self.bytes.get(start..start.saturating_add(length as usize)).unwrap_or(&[])
    }
}

impl Collector {
    /// The ruleset, with the elements of the named sets for which `wanted` says so.
    pub fn nft_listing(&self, wanted: &dyn Fn(&NftSet) -> bool) -> Result<NftListing, CollectError> {
        self.require(NF_TABLES)?;
        self.netlink(Protocol::Netfilter, |_| Ok(()))?;
        let mut socket = self.inside(|| Socket::open(Protocol::Netfilter))??;
        let mut before = ask_generation(&mut socket)?;
        for _ in 0..TRIES {
            let read = read_all(&mut socket, before, wanted);
            let after = ask_generation(&mut socket)?;
            match read {
                Ok(mut listing) if before == after => {
                    let set_name = |index| self.ipset_name(index);
                    listing.nft.rules.iter_mut().for_each(|rule| decode_compat(rule, &set_name));
                    return Ok(listing);
                }
                Ok(_) | Err(CollectError::Netlink(NetlinkError::Interrupted { .. })) => {}
                Err(_) if before != after => {}
                Err(error) => return Err(error),
            }
            before = after;
        }
        let text = format!("was changed during each of {TRIES} readings");
        Err(CollectError::malformed("nftables ruleset", text))
    }
}

fn read_all(
    socket: &mut Socket,
    generation: u32,
    wanted: &dyn Fn(&NftSet) -> bool,
) -> Result<NftListing, CollectError> {
    let mut nft = Nft {
        generation,
        tables: list(socket, GETTABLE, "NFT_MSG_NEWTABLE", table)?,
        chains: list(socket, GETCHAIN, "NFT_MSG_NEWCHAIN", chain)?,
        rules: list(socket, GETRULE, "NFT_MSG_NEWRULE", rule)?,
        sets: list(socket, GETSET, "NFT_MSG_NEWSET", set)?,
        objects: list(socket, GETOBJ, "NFT_MSG_NEWOBJ", object)?,
        flowtables: list_or_none(socket, GETFLOWTABLE, "NFT_MSG_NEWFLOWTABLE", flowtable)?,
        legacy_first: false,
    };
    mark_compat(&mut nft.rules);
    let mut all = Vec::with_capacity(nft.sets.len());
    for set in &mut nft.sets {
        let anonymous = set.flags & 1 != 0;
        if !anonymous && !wanted(set) {
            all.push(None);
            continue;
        }
        let elements = read_elements(socket, set)?;
        if anonymous {
            set.elements = elements.iter().collect();
            set.elements_read = true;
            all.push(None);
        } else {
            all.push(Some(elements));
        }
    }
    Ok(NftListing { nft, elements: all })
}

fn read_elements(socket: &mut Socket, set: &NftSet) -> Result<NftElements, CollectError> {
    let request = elements_request(set)?;
    let found = socket.dump_into(GETSETELEM, 0, &request, NftElements::default, |found, _, payload| {
        let list = payload.get(header(0).len()..).and_then(|rest| fields::Fields::of(rest).bytes(3));
        fields::list(list.unwrap_or(&[]), 1).for_each(|nest| found.push(nest));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
