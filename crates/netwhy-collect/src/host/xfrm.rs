//! IPsec policies and states, without keys (NETLINK_XFRM, uapi `linux/xfrm.h`).

use std::net::IpAddr;
use std::ops::ControlFlow;

use netwhy_facts::host::{Xfrm, XfrmPolicy};
use netwhy_facts::{Family, IpNet, Reading};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attribute, Attributes, Fixed};

use crate::collector::Collector;
use crate::decode::{Decoded, given, header};
use crate::error::CollectError;

const NEWSA: u16 = 0x10;
const GETSA: u16 = 0x12;
const NEWPOLICY: u16 = 0x13;
const GETPOLICY: u16 = 0x15;
/// `struct xfrm_userpolicy_info`, `struct xfrm_usersa_info`, `struct xfrm_user_tmpl`.
const POLICY: usize = 168;
const STATE: usize = 224;
const TEMPLATE: usize = 64;
/// Policies and states kept, each.
const BOUND: usize = 10_000;

/// One state: source, destination, protocol number, SPI.
type State = (IpAddr, IpAddr, u8, u32);

impl Collector {
    /// Policies and states of the namespace. More than 10,000 of either are `Failed`.
    ///
    /// The kernel sends keys with the states. They are not looked at, and the buffer they came in is not kept.
    pub fn xfrm(&self) -> Reading<Xfrm> {
        Self::reading("NETLINK_XFRM", "CAP_NET_ADMIN", || {
            let policies = self.xfrm_list(GETPOLICY, NEWPOLICY, decode_policy)?;
            let states = self.xfrm_list(GETSA, NEWSA, decode_state)?;
            Ok(Xfrm { policies, states })
        })
    }

    fn xfrm_list<T>(
        &self,
        ask: u16,
        answer: u16,
        decode: fn(&[u8]) -> Decoded<Option<T>>,
    ) -> Result<Vec<T>, CollectError> {
        let wrong = CollectError::attribute("NETLINK_XFRM");
        let (found, complete) =
            self.dump_bounded(Protocol::Xfrm, ask, &[], |all: &mut Vec<T>, kind, payload| {
                if kind == answer {
                    all.extend(decode(payload).map_err(&wrong)?);
                }
                Ok(if all.len() > BOUND { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        if !complete {
            let detail = format!("more than {BOUND} entries, or changing all the time");
            return Err(CollectError::malformed("NETLINK_XFRM", detail));
        }
        Ok(found)
    }
}

/// One policy from an XFRM_MSG_NEWPOLICY message; `None` for those that belong to one socket.
pub fn decode_policy(payload: &[u8]) -> Decoded<Option<XfrmPolicy>> {
    let fixed = header(payload, POLICY)?;
    let byte = |offset| fixed.u8(offset).unwrap_or(0);
    let dir = match byte(160) {
        0 => "in",
        1 => "out",
        2 => "fwd",
        _ => return Ok(None),
    };
    // struct xfrm_selector: destination, source, ports with masks, family, prefix lengths, protocol.
    let family = fixed.u16(40).unwrap_or(0);
    let net = |offset, length| match address(fixed, offset, family) {
        Some(address) => IpNet::new(address, length),
        None => IpNet::any(Family::Inet),
    };
    let port = |offset: usize| fixed.be16(offset).filter(|_| fixed.u16(offset + 2) != Some(0));
    let mut policy = XfrmPolicy {
        dir: dir.to_owned(),
        dst: net(0, byte(42)),
        src: net(16, byte(43)),
        proto: byte(44),
        dport: port(32),
        sport: port(36),
        priority: fixed.u32(152).unwrap_or(0),
        block: byte(161) == 1,
        templates: Vec::new(),
    };
    for attribute in Attributes::after(payload, POLICY) {
        let attribute = attribute?;
        if attribute.kind == 5 {
            policy.templates = templates(&attribute);
        }
    }
    Ok(Some(policy))
}

/// XFRMA_TMPL: destination and protocol, family, source, and whether the template may be missing.
fn templates(attribute: &Attribute<'_>) -> Vec<(Option<IpAddr>, Option<IpAddr>, u8, bool)> {
    let one = |bytes| {
        let fixed = Fixed(bytes);
        let family = fixed.u16(24).unwrap_or(0);
        let address = |offset| address(fixed, offset, family).and_then(given);
        (address(28), address(0), fixed.u8(20).unwrap_or(0), fixed.u8(50).unwrap_or(0) != 0)
    };
    attribute.payload.chunks_exact(TEMPLATE).map(one).collect()
}

/// One state from an XFRM_MSG_NEWSA message. Its attributes, where the keys are, are not walked.
pub fn decode_state(payload: &[u8]) -> Decoded<Option<State>> {
    let fixed = header(payload, STATE)?;
    let family = fixed.u16(212).unwrap_or(0);
    let addresses = address(fixed, 80, family).zip(address(fixed, 56, family));
    let spi = fixed.be32(72).unwrap_or(0);
    Ok(addresses.map(|(src, dst)| (src, dst, fixed.u8(76).unwrap_or(0), spi)))
}

/// `xfrm_address_t`, 16 bytes of which IPv4 uses the first four.
fn address(fixed: Fixed<'_>, offset: usize, family: u16) -> Option<IpAddr> {
    match family {
        2 => fixed.array::<4>(offset).map(IpAddr::from),
        10 => fixed.array::<16>(offset).map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use netwhy_wire::netlink::Builder;

    use super::*;

    #[test]
    fn a_state_is_read_and_its_key_is_not() {
        let mut fixed = [0; STATE];
        fixed[56..60].copy_from_slice(&[203, 0, 113, 1]);
        fixed[72..76].copy_from_slice(&0x1234_u32.to_be_bytes());
        fixed[76] = 50;
        fixed[80..84].copy_from_slice(&[198, 51, 100, 1]);
        fixed[212..214].copy_from_slice(&2_u16.to_ne_bytes());
        let mut message = Builder::with_header(&fixed);
        // XFRMA_ALG_CRYPT.
        message.bytes(2, b"a secret");
        let bytes = message.finish().unwrap();
        let state = decode_state(&bytes).unwrap().unwrap();
        let ends: (IpAddr, IpAddr) = ("198.51.100.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
        assert_eq!(state, (ends.0, ends.1, 50, 0x1234));
        // Nor is it looked at: breaking it changes nothing.
        assert_eq!(decode_state(&bytes[..bytes.len() - 6]).unwrap(), Some(state));
        assert!(decode_state(&bytes[..STATE - 1]).is_err());
    }

    #[test]
    fn a_sockets_own_policy_is_left_out() {
        let mut fixed = [0; POLICY];
        fixed[160] = 3;
        assert_eq!(decode_policy(&fixed), Ok(None));
        fixed[160] = 2;
        let policy = decode_policy(&fixed).unwrap().unwrap();
        assert_eq!((policy.dir.as_str(), policy.src), ("fwd", IpNet::any(Family::Inet)));
    }
}
