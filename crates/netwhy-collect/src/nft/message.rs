//! Tables, chains, rules, sets, elements, objects and flowtables: one netlink payload each
//! (uapi `linux/netfilter/nf_tables.h`). A payload that lacks what names its object is `None`.

use netwhy_facts::nft::{
    NftChain, NftElem, NftFamily, NftFlowtable, NftHook, NftObject, NftObjectDetail, NftRule, NftSet,
    NftSetMore, NftTable,
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
    Some(NftTable {
        family,
        name: f.text(1)?,
        handle: f.be64(4).unwrap_or(0),
        flags: f.be32(2).unwrap_or(0),
        comment: f.bytes(6).and_then(comment),
    })
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
        comment: f.bytes(12).and_then(comment),
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
fn comment(userdata: &[u8]) -> Option<String> {
    userdata_of(userdata, 0).map(|value| fields::text(value).into_owned())
}

/// One entry of the user data by its type. Text that is no such list ends the search.
fn userdata_of(mut userdata: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [kind, length, rest @ ..] = userdata {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        userdata = rest;
    }
    None
}

/// What the listing of a set shows; the types of its user data are seen in what nft(8) writes there.
fn set_more(f: &Fields<'_>) -> NftSetMore {
    let userdata = f.bytes(13).unwrap_or(&[]);
    let is_set =
        |kind| userdata_of(userdata, kind).is_some_and(|value| value.first().is_some_and(|byte| *byte != 0));
    let exprs = match (f.bytes(18), f.bytes(17)) {
        (Some(list), _) => expr::expressions(list),
        (None, Some(nest)) => vec![expr::expression(nest)],
        (None, None) => Vec::new(),
    };
    NftSetMore {
        comment: userdata_of(userdata, 7).map(|value| fields::text(value).into_owned()),
        auto_merge: is_set(2),
        policy: f.be32(8),
        gc_interval_ms: f.be32(12),
        obj_type: f.be32(15),
        exprs,
        key_typeof: userdata_of(userdata, 3).map(<[u8]>::to_vec),
        data_typeof: userdata_of(userdata, 4).map(<[u8]>::to_vec),
        data_interval: is_set(6),
    }
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
        more: Some(Box::new(set_more(&f))),
    })
}

/// The elements of an `NFT_MSG_NEWSETELEM`.
pub fn elements(payload: &[u8]) -> impl Iterator<Item = NftElem> {
    let list = payload.get(HEADER..).and_then(|attributes| Fields::of(attributes).bytes(3));
    fields::list(list.unwrap_or(&[]), LIST_ELEM).map(element)
}

/// The key and the flags of an element, without decoding the rest.
pub(super) fn element_key(nest: &[u8]) -> (&[u8], u32) {
    let f = Fields::of(nest);
    (f.bytes(1).and_then(|nest| Fields::of(nest).bytes(1)).unwrap_or(&[]), f.be32(3).unwrap_or(0))
}

/// One element, as it stands in a listing.
pub(super) fn element(nest: &[u8]) -> NftElem {
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
        timeout_ms: f.be64(4),
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
        comment: f.bytes(8).and_then(comment),
        detail: f.bytes(4).and_then(|data| detail(obj_type, &Fields::of(data))),
    })
}

/// Objects that no expression describes (`NFTA_CT_HELPER_*`, `NFTA_CT_TIMEOUT_*`, `NFTA_CT_EXPECT_*`,
/// `NFTA_SECMARK_CTX`).
fn detail(obj_type: u32, f: &Fields<'_>) -> Option<NftObjectDetail> {
    Some(match obj_type {
        3 => NftObjectDetail::CtHelper { helper: f.text(1)?, l3proto: f.be16(2), l4proto: f.u8(3)? },
        7 => NftObjectDetail::CtTimeout {
            l3proto: f.be16(1),
            l4proto: f.u8(2)?,
            seconds: netwhy_wire::netlink::Attributes::new(f.bytes(3).unwrap_or(&[]))
                .flatten()
                .filter_map(|one| Some((one.kind, one.be32().ok()?)))
                .collect(),
        },
        8 => NftObjectDetail::Secmark { context: f.text(1)? },
        9 => NftObjectDetail::CtExpect {
            l3proto: f.be16(1),
            l4proto: f.u8(2)?,
            dport: f.be16(3)?,
            // In milliseconds and host order, unlike the rest.
            timeout_ms: u32::from_ne_bytes(f.bytes(4)?.try_into().ok()?),
            size: f.u8(5)?,
        },
        _ => return None,
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
        handle: f.be64(5).unwrap_or(0),
    })
}
