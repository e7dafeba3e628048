//! Policy rules (RTM_GETRULE).

use std::net::IpAddr;

use netwhy_facts::route::{Rule, RuleAction, Rules};
use netwhy_facts::{Family, IpNet, Reading};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attribute, Attributes};

use super::{AF_INET, AF_INET6, address, lacks_family};
use crate::collector::Collector;
use crate::decode::{Decoded, header, structure};
use crate::error::CollectError;

const RTM_NEWRULE: u16 = 32;
const RTM_GETRULE: u16 = 34;
/// `struct fib_rule_hdr`.
const HEADER: usize = 12;
/// `FIB_RULE_INVERT`.
const INVERT: u32 = 2;

impl Collector {
    /// The policy rules of both families in the order they are asked.
    pub fn rules(&self) -> Reading<Rules> {
        Self::reading("RTM_GETRULE", "access to the network namespace", || {
            let mut rules = Vec::new();
            for family in [AF_INET, AF_INET6] {
                let mut request = [0; HEADER];
                request[0] = family;
                let wrong = CollectError::attribute("RTM_GETRULE");
                let result = self.dump(
                    Protocol::Route,
                    RTM_GETRULE,
                    &request,
                    |all: &mut Vec<Rule>, kind, payload| {
                        if kind == RTM_NEWRULE {
                            all.extend(decode_rule(payload).map_err(&wrong)?);
                        }
                        Ok(())
                    },
                );
                match result {
                    Ok(found) => rules.extend(found),
                    Err(error) if family == AF_INET6 && lacks_family(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            // The kernel lists them so; rules of equal priority keep the order they were added in.
            rules.sort_by_key(|rule| (rule.family, rule.priority));
            Ok(Rules(rules))
        })
    }
}

/// One rule from an RTM_NEWRULE message (uapi `linux/fib_rules.h`, FRA_*); `None` if it is neither IPv4 nor IPv6.
pub fn decode_rule(payload: &[u8]) -> Decoded<Option<Rule>> {
    let fixed = header(payload, HEADER)?;
    let family = match fixed.u8(0) {
        Some(AF_INET) => Family::Inet,
        Some(AF_INET6) => Family::Inet6,
        _ => return Ok(None),
    };
    let byte = |offset| fixed.u8(offset).unwrap_or(0);
    let (dst_len, src_len) = (byte(1), byte(2));
    let mut rule = Rule {
        family,
        priority: 0,
        invert: fixed.u32(8).unwrap_or(0) & INVERT != 0,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        tos: byte(3),
        uid_range: None,
        ip_proto: None,
        sport: None,
        dport: None,
        l3mdev: false,
        action: RuleAction::Nop,
        suppress_prefixlen: None,
        suppress_ifgroup: None,
        protocol: 0,
        unknown: Vec::new(),
    };
    let mut table = u32::from(byte(4));
    let (mut target, mut mark, mut mask) = (None, None, None);
    // Masks of ports (since 6.15): the kernel shows a full one for every rule with a single port.
    let mut port_masks = [None, None];
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => rule.to = Some(prefix(&attribute, family, dst_len)?),
            2 => rule.from = Some(prefix(&attribute, family, src_len)?),
            3 => rule.iif = Some(attribute.text().into_owned()),
            4 => target = Some(attribute.u32()?),
            6 => rule.priority = attribute.u32()?,
            10 => mark = Some(attribute.u32()?),
            13 => rule.suppress_ifgroup = Some(attribute.i32()?).filter(|value| *value >= 0),
            14 => rule.suppress_prefixlen = Some(attribute.i32()?).filter(|value| *value >= 0),
            15 => table = attribute.u32()?,
            16 => mask = Some(attribute.u32()?),
            17 => rule.oif = Some(attribute.text().into_owned()),
            19 => rule.l3mdev = attribute.u8()? != 0,
            20 => {
                let range = structure(&attribute, 8)?;
                rule.uid_range = range.u32(0).zip(range.u32(4));
            }
            21 => rule.protocol = attribute.u8()?,
            22 => rule.ip_proto = Some(attribute.u8()?).filter(|number| *number != 0),
            23 => rule.sport = Some(ports(&attribute)?).filter(|range| *range != (0, 0)),
            24 => rule.dport = Some(ports(&attribute)?).filter(|range| *range != (0, 0)),
            28 => port_masks[0] = Some(attribute.u16()?),
            29 => port_masks[1] = Some(attribute.u16()?),
            // Routing realm (accounting only), padding, and what older kernels had there.
            0 | 5 | 7 | 8 | 9 | 11 | 18 => {}
            // FRA_TUN_ID 12, FRA_DSCP 25, FRA_FLOWLABEL 26 and what is younger: selectors this build does not know.
            other => rule.unknown.push(other),
        }
    }
    for (port_mask, kind) in port_masks.into_iter().zip([28, 29]) {
        if port_mask.is_some_and(|mask| mask != u16::MAX) {
            rule.unknown.push(kind);
        }
    }
    rule.fwmark = (mark.is_some() || mask.is_some()).then(|| (mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    // FR_ACT_*.
    rule.action = match byte(7) {
        1 => RuleAction::Table(table),
        2 => RuleAction::Goto(target.unwrap_or(0)),
        3 => RuleAction::Nop,
        6 => RuleAction::Blackhole,
        7 => RuleAction::Unreachable,
        8 => RuleAction::Prohibit,
        other => RuleAction::Other(other),
    };
    Ok(Some(rule))
}

fn prefix(attribute: &Attribute<'_>, family: Family, length: u8) -> Decoded<IpNet> {
    let address: IpAddr = address(attribute, family)?;
    Ok(IpNet::new(address, length))
}

/// `struct fib_rule_port_range`.
fn ports(attribute: &Attribute<'_>) -> Decoded<(u16, u16)> {
    let range = structure(attribute, 4)?;
    Ok((range.u16(0).unwrap_or(0), range.u16(2).unwrap_or(0)))
}
