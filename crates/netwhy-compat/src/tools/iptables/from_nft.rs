//! Rules that iptables-nft made, read back as rules of iptables: native expressions become the matches they
//! stand for, expressions of the compatibility layer are decoded already.

use std::net::IpAddr;

use netwhy_facts::nft::{
    BitwiseOp, CmpOp, Data, Expr, Nft, NftChain, NftFamily, NftRule, NftVerdict, PayloadBase,
};
use netwhy_facts::xtables::{XtChain, XtMatch, XtRule, XtTarget, XtVerdict};
use netwhy_facts::{Family, IpNet};

/// The hooks of a table's built-in chains, by their numbers (`NF_INET_*`).
pub(super) fn builtin(table: &str) -> Option<&'static [(u32, &'static str)]> {
    Some(match table {
        "filter" | "security" => &[(1, "INPUT"), (2, "FORWARD"), (3, "OUTPUT")],
        "nat" => &[(0, "PREROUTING"), (1, "INPUT"), (3, "OUTPUT"), (4, "POSTROUTING")],
        "mangle" => &[(0, "PREROUTING"), (1, "INPUT"), (2, "FORWARD"), (3, "OUTPUT"), (4, "POSTROUTING")],
        "raw" => &[(0, "PREROUTING"), (3, "OUTPUT")],
        _ => return None,
    })
}

/// The chains of a table, the built-in ones first and made up where they are not there; `Err` names a chain
/// that nft made and iptables cannot show.
pub(super) fn chains(nft: &Nft, family: NftFamily, table: &str) -> Result<Vec<XtChain>, String> {
    let mut out = Vec::new();
    let known: Vec<&NftChain> =
        nft.chains.iter().filter(|chain| chain.family == family && chain.table == table).collect();
    for (hook, name) in builtin(table).unwrap_or(&[]) {
        let chain = known.iter().find(|chain| chain.name == *name);
        let policy = chain.and_then(|chain| chain.policy).unwrap_or(1);
        out.push(XtChain {
            name: (*name).to_owned(),
            hook: Some(*hook),
            policy: Some(if policy == 0 { XtVerdict::Drop } else { XtVerdict::Accept }),
            counters: chain.and_then(|chain| chain.counter).unwrap_or((0, 0)),
            rules: rules(nft, family, table, name)?,
        });
    }
    let mut own: Vec<&&NftChain> =
        known.iter().filter(|chain| !out.iter().any(|one| one.name == chain.name)).collect();
    own.sort_by(|a, b| a.name.cmp(&b.name));
    for chain in own {
        if chain.hook.is_some() {
            return Err(chain.name.clone());
        }
        out.push(XtChain {
            name: chain.name.clone(),
            hook: None,
            policy: None,
            counters: (0, 0),
            rules: rules(nft, family, table, &chain.name)?,
        });
    }
    Ok(out)
}

fn rules(nft: &Nft, family: NftFamily, table: &str, chain: &str) -> Result<Vec<XtRule>, String> {
    nft.rules_of(family, table, chain).map(|one| rule(one).ok_or_else(|| chain.to_owned())).collect()
}

/// What a register holds.
#[derive(Clone)]
struct Held {
    what: What,
    mask: Option<Vec<u8>>,
}

#[derive(Clone)]
enum What {
    Meta(u32),
    Payload(PayloadBase, u32),
}

/// The rule; `None` when an expression is none that iptables-nft writes.
pub(super) fn rule(nft: &NftRule) -> Option<XtRule> {
    let mut out = XtRule {
        src: None,
        dst: None,
        odd_masks: None,
        iif: None,
        oif: None,
        proto: None,
        fragment: None,
        goto: false,
        matches: Vec::new(),
        target: XtTarget::Standard { verdict: XtVerdict::Continue },
        counters: (0, 0),
        extra: Vec::new(),
    };
    let mut held: Option<Held> = None;
    for expr in &nft.exprs {
        match expr {
            Expr::Meta { key, .. } => held = Some(Held { what: What::Meta(*key), mask: None }),
            Expr::Payload { base, offset, .. } => {
                held = Some(Held { what: What::Payload(*base, *offset), mask: None });
            }
            Expr::Bitwise { op: BitwiseOp::MaskXor { mask, xor }, .. }
                if xor.iter().all(|byte| *byte == 0) =>
            {
                held = held.map(|held| Held { mask: Some(mask.clone()), ..held });
            }
            Expr::Cmp { op: op @ (CmpOp::Eq | CmpOp::Neq), data, .. } => {
                compare(&mut out, nft.family, held.as_ref()?, data, *op == CmpOp::Neq)?;
            }
            Expr::Range { negate, from, to, .. } => {
                let What::Payload(PayloadBase::Transport, offset) = held.as_ref()?.what else { return None };
                ports(&mut out, offset, (be16(from)?, be16(to)?), *negate)?;
            }
            Expr::Limit { rate, unit_s, burst, per_packet: true, over: false } => {
                let avg = 10_000_u64.checked_mul(*unit_s)?.checked_div(*rate)?;
                out.matches.push(XtMatch::Limit { avg: u32::try_from(avg).ok()?, burst: *burst });
            }
            Expr::Counter { packets, bytes } => out.counters = (*packets, *bytes),
            Expr::Match { name, revision, info, decoded } => out.matches.push(match decoded {
                Some(decoded) => (**decoded).clone(),
                None => XtMatch::Unknown {
                    name: name.clone(),
                    revision: u8::try_from(*revision).ok()?,
                    info: info.clone(),
                },
            }),
            Expr::Target { name, revision, info, decoded } => {
                out.target = match decoded {
                    Some(decoded) => (**decoded).clone(),
                    None => XtTarget::Unknown {
                        name: name.clone(),
                        revision: u8::try_from(*revision).ok()?,
                        info: info.clone(),
                    },
                };
            }
            // What `meta nftrace set` takes.
            Expr::Immediate { data: Data::Value(_), .. } => held = None,
            Expr::Immediate { data: Data::Verdict(verdict), .. } => {
                let verdict = match verdict {
                    NftVerdict::Accept => XtVerdict::Accept,
                    NftVerdict::Drop => XtVerdict::Drop,
                    NftVerdict::Return => XtVerdict::Return,
                    NftVerdict::Jump(chain) => XtVerdict::Jump(chain.clone()),
                    NftVerdict::Goto(chain) => {
                        out.goto = true;
                        XtVerdict::Jump(chain.clone())
                    }
                    _ => return None,
                };
                out.target = XtTarget::Standard { verdict };
            }
            Expr::MetaSet { key: 12, .. } => {
                out.target = XtTarget::Unknown { name: "TRACE".into(), revision: 0, info: Vec::new() };
            }
            Expr::Log { group: Some(group), prefix, .. } => {
                out.target = XtTarget::Nflog { group: *group, prefix: prefix.clone() };
            }
            Expr::Log { group: None, prefix, level, flags, .. } => {
                out.target = XtTarget::Log {
                    prefix: prefix.clone(),
                    level: u8::try_from(level.unwrap_or(4)).ok()?,
                    flags: u8::try_from(*flags).ok()?,
                };
            }
            _ => return None,
        }
    }
    if let Some(comment) = &nft.comment {
        out.matches.push(XtMatch::Comment { text: comment.clone() });
    }
    Some(out)
}

fn be16(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_be_bytes)
}

fn compare(out: &mut XtRule, family: NftFamily, held: &Held, data: &[u8], invert: bool) -> Option<()> {
    let word = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
    match &held.what {
        What::Meta(key @ (6 | 7)) => {
            let text = String::from_utf8_lossy(data);
            let name = match text.split_once('\0') {
                Some((name, _)) => name.to_owned(),
                // Compared up to a place inside the name: a beginning.
                None => format!("{text}+"),
            };
            let slot = if *key == 6 { &mut out.iif } else { &mut out.oif };
            *slot = Some((name, invert));
        }
        What::Meta(16) => out.proto = Some((u16::from(*data.first()?), invert)),
        What::Meta(3) => {
            let mask = held.mask.as_deref().map_or(Some(u32::MAX), word)?;
            out.matches.push(XtMatch::Mark { mark: word(data)?, mask, invert });
        }
        What::Payload(PayloadBase::Network, offset) => {
            let six = family == NftFamily::Ip6;
            let side = match (six, offset) {
                (false, 12) | (true, 8) => 0,
                (false, 16) | (true, 24) => 1,
                (false, 6) if held.mask.as_deref() == Some(&[0x1f, 0xff]) => {
                    out.fragment = Some(invert);
                    return Some(());
                }
                _ => return None,
            };
            address(out, side, six, held.mask.as_deref(), data, invert)?;
        }
        What::Payload(PayloadBase::Transport, offset @ (0 | 2)) => {
            let port = be16(data)?;
            ports(out, *offset, (port, port), invert)?;
        }
        What::Payload(PayloadBase::Transport, 13) => {
            let mask = held.mask.as_ref().map_or(Some(0xff), |mask| mask.first().copied())?;
            let flags = *data.first()?;
            let XtMatch::Tcp { flag_mask, flag_cmp, flags_inv, .. } = tcp(out) else { return None };
            (*flag_mask, *flag_cmp, *flags_inv) = (mask, flags, invert);
        }
        _ => return None,
    }
    Some(())
}

fn address(
    out: &mut XtRule,
    side: usize,
    six: bool,
    mask: Option<&[u8]>,
    data: &[u8],
    invert: bool,
) -> Option<()> {
    let width = if six { 16 } else { 4 };
    let mut bytes = data.to_vec();
    bytes.resize(width, 0);
    let mut full = vec![0xff; data.len()];
    full.resize(width, 0);
    if let Some(mask) = mask {
        full = mask.to_vec();
        full.resize(width, 0);
    }
    let addr: IpAddr =
        if six { <[u8; 16]>::try_from(bytes).ok()?.into() } else { <[u8; 4]>::try_from(bytes).ok()?.into() };
    let ones: u32 = full.iter().map(|byte| byte.count_ones()).sum();
    let len = u8::try_from(ones).ok()?.min(Family::of(&addr).bits());
    let odd = full.windows(2).any(|pair| matches!(pair, [a, b] if *a != 0xff && *b != 0))
        || full.iter().any(|byte| byte.leading_ones() != byte.count_ones());
    if odd {
        let zero = vec![0; width];
        let masks = out.odd_masks.get_or_insert((zero.clone(), zero));
        *(if side == 0 { &mut masks.0 } else { &mut masks.1 }) = full;
    }
    let slot = if side == 0 { &mut out.src } else { &mut out.dst };
    *slot = Some((IpNet { addr, len }, invert));
    Some(())
}

/// The one match of TCP that ports and flags belong to.
fn tcp(out: &mut XtRule) -> &mut XtMatch {
    let at = out.matches.iter().position(|one| matches!(one, XtMatch::Tcp { .. }));
    let at = at.unwrap_or_else(|| {
        out.matches.push(XtMatch::Tcp {
            sports: (0, u16::MAX),
            sports_inv: false,
            dports: (0, u16::MAX),
            dports_inv: false,
            flag_mask: 0,
            flag_cmp: 0,
            flags_inv: false,
            option: 0,
            option_inv: false,
        });
        out.matches.len() - 1
    });
    // The position was found above, or the match was just added there.
    &mut out.matches[at]
}

fn ports(out: &mut XtRule, offset: u32, range: (u16, u16), invert: bool) -> Option<()> {
    let one = match out.proto? {
        (6, false) => tcp(out),
        (17, false) => {
            let at = out.matches.iter().position(|one| matches!(one, XtMatch::Udp { .. }));
            let at = at.unwrap_or_else(|| {
                let any = (0, u16::MAX);
                out.matches.push(XtMatch::Udp {
                    sports: any,
                    sports_inv: false,
                    dports: any,
                    dports_inv: false,
                });
                out.matches.len() - 1
            });
            out.matches.get_mut(at)?
        }
        _ => return None,
    };
    match one {
        XtMatch::Tcp { sports, sports_inv, dports, dports_inv, .. }
        | XtMatch::Udp { sports, sports_inv, dports, dports_inv } => match offset {
            0 => (*sports, *sports_inv) = (range, invert),
            _ => (*dports, *dports_inv) = (range, invert),
        },
        _ => return None,
    }
    Some(())
}
