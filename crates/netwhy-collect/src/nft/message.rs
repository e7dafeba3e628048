//! Tables, chains, rules, sets, elements, objects and flowtables: one netlink payload each
//! (uapi `linux/netfilter/nf_tables.h`). A payload that lacks what names its object is `None`.

use netwhy_facts::nft::{
    NftChain, NftElem, NftFamily, NftFlowtable, NftHook, NftObject, NftRule, NftSet, NftTable,
};

use super::expr;
use crate::fields::{self, Fields};

/// `NFTA_LIST_ELEM`, also the type of everything in `NFTA_HOOK_DEVS`.
const LIST_ELEM: u16 = 1;
/// `NFTA_DEVICE_PREFIX` (since 6.18): every device whose name starts with it.
const DEVICE_PREFIX: u16 = 2;
/// `struct nfgenmsg`.
const HEADER: usize = 4;

/// The family and the attributes of a payload that starts with `struct nfgenmsg`.
fn open(payload: &[u8]) -> Option<(NftFamily, Fields<'_>)> {
    let family = NftFamily::from_number(*payload.first()?)?;
    Some((family, Fields::of(payload.get(HEADER..)?)))
}

/// `NFTA_GEN_ID` of an `NFT_MSG_NEWGEN`.
#[must_use]
pub fn generation(payload: &[u8]) -> Option<u32> {
    Fields::of(payload.get(HEADER..)?).be32(1)
}

/// An `NFT_MSG_NEWTABLE`.
#[must_use]
pub fn table(payload: &[u8]) -> Option<NftTable> {
    let (family, f) = open(payload)?;
    Some(NftTable { family, name: f.text(1)?, handle: f.be64(4).unwrap_or(0), flags: f.be32(2).unwrap_or(0) })
}

/// An `NFT_MSG_NEWCHAIN`.
#[must_use]
pub fn chain(payload: &[u8]) -> Option<NftChain> {
    let (family, f) = open(payload)?;
    Some(NftChain {
        family,
        table: f.text(1)?,
        handle: f.be64(2).unwrap_or(0),
        name: f.text(3)?,
        hook: f.bytes(4).and_then(hook),
        policy: f.be32(5),
        chain_type: f.text(7),
        counter: f.bytes(8).and_then(|nest| {
            let counters = Fields::of(nest);
            Some((counters.be64(2)?, counters.be64(1)?))
        }),
        flags: f.be32(10).unwrap_or(0),
    })
}

fn hook(nest: &[u8]) -> Option<NftHook> {
    let f = Fields::of(nest);
    let devices = match (f.bytes(4), f.text(3)) {
        (Some(list), _) => devices(list),
        (None, Some(one)) => vec![one],
        (None, None) => Vec::new(),
    };
    Some(NftHook { num: f.be32(1)?, priority: f.be32(2)? as i32, devices })
}

/// Device names; a prefix is written as nft(8) writes it, with a `*` at its end.
fn devices(list: &[u8]) -> Vec<String> {
    let names = netwhy_wire::netlink::Attributes::new(list).flatten().filter_map(|one| match one.kind {
        LIST_ELEM => Some(one.text().into_owned()),
        DEVICE_PREFIX => Some(format!("{}*", one.text())),
        _ => None,
    });
    names.collect()
}

/// An `NFT_MSG_NEWRULE`.
#[must_use]
pub fn rule(payload: &[u8]) -> Option<NftRule> {
    let (family, f) = open(payload)?;
    Some(NftRule {
        family,
        table: f.text(1)?,
        chain: f.text(2)?,
        handle: f.be64(3)?,
        exprs: f.bytes(4).map(expr::expressions).unwrap_or_default(),
        comment: f.bytes(7).and_then(comment),
        compat: f.has(5),
    })
}

/// The comment in user data: entries of type, length and bytes; a comment is type 0 for rules and elements.
fn comment(mut userdata: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == 0 {
            return Some(fields::text(value).into_owned());
        }
        userdata = rest;
    }
    None
}

/// An `NFT_MSG_NEWSET`, without elements.
#[must_use]
pub fn set(payload: &[u8]) -> Option<NftSet> {
    let (family, f) = open(payload)?;
    let desc = f.bytes(9).map(Fields::of);
    let field_lens = desc
        .as_ref()
        .and_then(|desc| desc.bytes(2))
        .map(|list| fields::list(list, LIST_ELEM).filter_map(|field| Fields::of(field).be32(1)).collect());
    Some(NftSet {
        family,
        table: f.text(1)?,
        name: f.text(2)?,
        handle: f.be64(16).unwrap_or(0),
        flags: f.be32(3).unwrap_or(0),
        key_type: f.be32(4).unwrap_or(0),
        key_len: f.be32(5)?,
        data_type: f.be32(6),
        data_len: f.be32(7),
        field_lens: field_lens.unwrap_or_default(),
        timeout_ms: f.be64(11),
        size: desc.and_then(|desc| desc.be32(1)),
        elements: Vec::new(),
        elements_read: false,
    })
}

/// The elements of an `NFT_MSG_NEWSETELEM`.
pub fn elements(payload: &[u8]) -> impl Iterator<Item = NftElem> {
    let list = payload.get(HEADER..).and_then(|attributes| Fields::of(attributes).bytes(3));
    fields::list(list.unwrap_or(&[]), LIST_ELEM).map(element)
}

fn element(nest: &[u8]) -> NftElem {
    let f = Fields::of(nest);
    // Keys are always values; a catch-all element has none.
    let bytes = |kind| f.bytes(kind).and_then(|nest| Fields::of(nest).bytes(1)).map(<[u8]>::to_vec);
    let exprs = match (f.bytes(11), f.bytes(7)) {
        (Some(list), _) => expr::expressions(list),
        (None, Some(nest)) => vec![expr::expression(nest)],
        (None, None) => Vec::new(),
    };
    NftElem {
        key: bytes(1).unwrap_or_default(),
        key_end: bytes(10),
        flags: f.be32(3).unwrap_or(0),
        data: f.bytes(2).and_then(expr::data),
        object: f.text(9),
        expires_ms: f.be64(5),
        exprs,
        comment: f.bytes(6).and_then(comment),
    }
}

/// An `NFT_MSG_NEWOBJ`.
#[must_use]
pub fn object(payload: &[u8]) -> Option<NftObject> {
    let (family, f) = open(payload)?;
    let obj_type = f.be32(3)?;
    Some(NftObject {
        family,
        table: f.text(1)?,
        name: f.text(2)?,
        handle: f.be64(6).unwrap_or(0),
        obj_type,
        expr: f.bytes(4).and_then(|data| expr::object(obj_type, data)),
    })
}

/// An `NFT_MSG_NEWFLOWTABLE`.
#[must_use]
pub fn flowtable(payload: &[u8]) -> Option<NftFlowtable> {
    let (family, f) = open(payload)?;
    let hook = f.bytes(3).map(Fields::of);
    Some(NftFlowtable {
        family,
        table: f.text(1)?,
        name: f.text(2)?,
        priority: hook.as_ref().and_then(|hook| hook.be32(2)).unwrap_or(0) as i32,
        devices: hook.and_then(|hook| hook.bytes(3)).map(devices).unwrap_or_default(),
        flags: f.be32(7).unwrap_or(0),
    })
}
