//! Driver and link layer of devices (ethtool).

use netwhy_facts::Reading;
use netwhy_facts::host::{Nic, Nics};
use netwhy_facts::link::Link;
use netwhy_sys::ethtool;
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attributes, Builder};

use crate::collector::{Collector, now};
use crate::decode::Decoded;
use crate::error::CollectError;

/// `GENL_ID_CTRL` and its `CTRL_CMD_GETFAMILY` (uapi `linux/genetlink.h`).
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
/// `ETHTOOL_MSG_LINKSTATE_GET` (uapi `linux/ethtool_netlink.h`).
const LINKSTATE_GET: u8 = 4;
/// `struct genlmsghdr`.
const HEADER: usize = 4;

impl Collector {
    /// What the drivers of these devices say.
    pub fn nics(&self, devices: &[u32]) -> Reading<Nics> {
        Self::reading("ethtool", "access to the network namespace", || {
            let links = self.link_dump()?;
            let wanted: Vec<_> = links.into_iter().filter(|link| devices.contains(&link.index)).collect();
            let mut nics = self.inside(|| wanted.iter().map(nic).collect::<Vec<_>>())?;
            for nic in &mut nics {
                if matches!(nic.link, Reading::Known { value: false, .. }) {
                    nic.ext_state = self.extended_state(nic.ifindex).ok().flatten();
                }
            }
            Ok(Nics(nics))
        })
    }

    /// The number of ethtool's generic netlink family.
    fn ethtool_family(&self) -> Result<u16, CollectError> {
        let wrong = CollectError::attribute("generic netlink families");
        // The whole list, because asking for one family by name would load its module.
        let family = self.dump(
            Protocol::Generic,
            CONTROL,
            &[GET_FAMILY, 1, 0, 0],
            |found: &mut Option<u16>, _, payload| {
                *found = found.or(decode_family(payload, "ethtool").map_err(&wrong)?);
                Ok(())
            },
        )?;
        family.ok_or_else(|| CollectError::Missing("no ethtool netlink".into()))
    }

    /// One request of ethtool's netlink family (`ETHTOOL_MSG_*`) for a device: the attributes of the answer, empty
    /// if it has none. `flags` are `ETHTOOL_FLAG_*`.
    pub fn ethtool(
        &self,
        command: u8,
        device: &str,
        flags: u32,
        fill: impl FnOnce(&mut Builder),
    ) -> Result<Vec<u8>, CollectError> {
        let family = self.ethtool_family()?;
        let mut request = Builder::with_header(&[command, 1, 0, 0]);
        request.nest(1, |header| {
            header.str(2, device);
            if flags != 0 {
                header.u32(3, flags);
            }
        });
        fill(&mut request);
        let payload = request.finish()?;
        self.netlink(Protocol::Generic, |socket| {
            let replies = socket.request(family, 0, &payload)?;
            let first = replies.into_iter().next();
            Ok(first.map(|reply| reply.payload.get(HEADER..).unwrap_or(&[]).to_vec()).unwrap_or_default())
        })
    }

    /// Why there is no carrier, when the driver knows (since 5.11). Few do.
    fn extended_state(&self, ifindex: u32) -> Result<Option<String>, CollectError> {
        let wrong = CollectError::attribute("ethtool link state");
        let family = self.ethtool_family()?;
        let mut request = Builder::with_header(&[LINKSTATE_GET, 1, 0, 0]);
        request.nest(1, |header| {
            header.u32(1, ifindex);
        });
        let payload = request.finish()?;
        self.netlink(Protocol::Generic, |socket| {
            let replies = socket.request(family, 0, &payload)?;
            let states: Decoded<Vec<_>> =
                replies.iter().map(|reply| decode_linkstate(&reply.payload)).collect();
            Ok(states.map_err(&wrong)?.into_iter().flatten().next())
        })
    }
}

fn nic(link: &Link) -> Nic {
    fn read<T>(what: &str, value: netwhy_sys::Result<T>) -> Reading<T> {
        match value {
            Ok(value) => Reading::known(value, what, now()),
            Err(error) => CollectError::from(error).into_reading("CAP_NET_ADMIN"),
        }
    }
    let name = link.name.as_str();
    let settings = read("ETHTOOL_GLINKSETTINGS", ethtool::link_settings(name));
    Nic {
        ifindex: link.index,
        driver: read("ETHTOOL_GDRVINFO", ethtool::driver(name)).map(|driver| driver.driver),
        link: read("ETHTOOL_GLINK", ethtool::link(name)),
        ext_state: None,
        speed_mbps: known(settings.clone().map(|settings| settings.speed)),
        full_duplex: known(settings.map(|settings| settings.full_duplex)),
        stats: read("ETHTOOL_GSTATS", ethtool::statistics(name)).map(|list| list.into_iter().collect()),
        features: read("ETHTOOL_GFEATURES", ethtool::features(name))
            .map(|list| list.into_iter().filter(|f| f.active).map(|f| f.name).collect()),
    }
}

/// A driver that answers "unknown" has not said anything.
fn known<T>(reading: Reading<Option<T>>) -> Reading<T> {
    match reading {
        Reading::Known { value: None, .. } => Reading::unsupported("the driver does not know"),
        Reading::Known { value: Some(value), source, at } => Reading::Known { value, source, at },
        Reading::Denied { needs } => Reading::Denied { needs },
        Reading::Unsupported { why } => Reading::Unsupported { why },
        Reading::NotAsked => Reading::NotAsked,
        Reading::Failed { error } => Reading::Failed { error },
    }
}

/// The number of a generic netlink family, if the message is about the one of this name (CTRL_ATTR_*).
pub fn decode_family(payload: &[u8], name: &str) -> Decoded<Option<u16>> {
    let (mut id, mut named) = (None, false);
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => id = Some(attribute.u16()?),
            2 => named = attribute.text() == name,
            _ => {}
        }
    }
    Ok(id.filter(|_| named))
}

/// ETHTOOL_A_LINKSTATE_EXT_STATE in the kernel's words (`enum ethtool_link_ext_state`).
pub fn decode_linkstate(payload: &[u8]) -> Decoded<Option<String>> {
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        if attribute.kind != 5 {
            continue;
        }
        let words = match attribute.u8()? {
            0 => "autoneg",
            1 => "link training failure",
            2 => "logical mismatch",
            3 => "bad signal integrity",
            4 => "no cable",
            5 => "cable issue",
            6 => "EEPROM issue",
            7 => "calibration failure",
            8 => "power budget exceeded",
            9 => "overheat",
            10 => "module",
            other => return Ok(Some(other.to_string())),
        };
        return Ok(Some(words.to_owned()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_by_name() {
        let mut message = Builder::with_header(&[1, 2, 0, 0]);
        message.str(2, "ethtool").u16(1, 21);
        let bytes = message.finish().unwrap();
        assert_eq!(decode_family(&bytes, "ethtool"), Ok(Some(21)));
        assert_eq!(decode_family(&bytes, "devlink"), Ok(None));
    }

    #[test]
    fn the_reason_for_no_carrier_is_in_words() {
        let mut message = Builder::with_header(&[4, 1, 0, 0]);
        message.u8(2, 0).u8(5, 4);
        assert_eq!(decode_linkstate(&message.finish().unwrap()), Ok(Some("no cable".into())));
        assert_eq!(decode_linkstate(&[0; 4]), Ok(None));
    }
}
