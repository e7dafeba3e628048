//! What a device's driver says over the `SIOCETHTOOL` ioctl (uapi `linux/ethtool.h`).
//!
//! For what netlink's ethtool family does not carry (driver statistics) and for kernels without it. Devices
//! are those of the calling thread's network namespace. Reading needs no privilege.

use std::os::fd::AsFd;

use crate::errno::Errno;
use crate::error::{Result, SysError};
use crate::ioctl::{Request, any_socket};

const SIOCETHTOOL: u64 = 0x8946;

/// Names take 32 bytes each (`ETH_GSTRING_LEN`).
const NAME: usize = 32;
/// A driver may have grown statistics between the two questions, and older kernels then write more than was
/// asked for: that much room is left behind the answer. Pages that are not written cost nothing.
const SLACK: usize = 1 << 20;
/// More statistics than any driver has.
const MOST: u32 = 1 << 17;

/// The driver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Driver {
    /// Its name.
    pub driver: String,
    /// Its version; the kernel's for drivers that belong to it.
    pub version: String,
    /// The firmware's version.
    pub firmware: String,
    /// Where it is plugged in.
    pub bus: String,
    /// The version of the expansion ROM.
    pub rom: String,
    /// How many private flags it has.
    pub private_flags: u32,
    /// How many statistics of its own it has.
    pub statistics: u32,
    /// How many results its self-test gives.
    pub tests: u32,
    /// The size of its EEPROM in bytes.
    pub eeprom: u32,
    /// The size of its registers' dump in bytes.
    pub registers: u32,
}

/// A set of names (`enum ethtool_stringset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum NameSet {
    /// Statistics.
    Statistics = 1,
    /// Private flags.
    PrivateFlags = 2,
    /// Functions that spread received packets.
    HashFunctions = 5,
    /// Statistics of the PHY.
    PhyStatistics = 7,
    /// Offload features.
    Features = 4,
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name, as `ethtool -k` shows beside its own.
    pub name: String,
    /// It is on.
    pub active: bool,
    /// Somebody wants it on.
    pub requested: bool,
    /// It can be switched.
    pub available: bool,
    /// It can never change.
    pub fixed: bool,
}

/// Present and largest sizes of rings (`struct ethtool_ringparam`), in descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rings {
    /// Largest receive ring.
    pub rx_max: u32,
    /// Largest transmit ring.
    pub tx_max: u32,
    /// Receive ring.
    pub rx: u32,
    /// Transmit ring.
    pub tx: u32,
}

/// Present and largest numbers of channels, each with its interrupt (`struct ethtool_channels`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels {
    /// Most that only receive.
    pub rx_max: u32,
    /// Most that only transmit.
    pub tx_max: u32,
    /// Most for other purposes.
    pub other_max: u32,
    /// Most that do both.
    pub combined_max: u32,
    /// Receiving only.
    pub rx: u32,
    /// Transmitting only.
    pub tx: u32,
    /// For other purposes.
    pub other: u32,
    /// Doing both.
    pub combined: u32,
}

/// What the link settled on (`struct ethtool_link_settings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// Megabits a second; `None` if the driver does not know, as without a cable.
    pub speed: Option<u32>,
    /// Both ways at once; `None` if the driver does not know.
    pub full_duplex: Option<bool>,
    /// It was negotiated.
    pub negotiated: bool,
    /// The connector (`PORT_*`).
    pub port: u8,
}

/// The driver's name and versions.
pub fn driver(device: &str) -> Result<Driver> {
    const GDRVINFO: u32 = 3;
    let mut bytes = vec![0; 196];
    // SAFETY: the length of struct ethtool_drvinfo.
    unsafe { ask(device, GDRVINFO, &mut bytes, "ethtool driver")? };
    let text = |offset: usize| text(bytes.get(offset..offset + NAME).unwrap_or(&[]));
    Ok(Driver {
        driver: text(4),
        version: text(36),
        firmware: text(68),
        bus: text(100),
        rom: text(132),
        private_flags: word(&bytes, 176),
        statistics: word(&bytes, 180),
        tests: word(&bytes, 184),
        eeprom: word(&bytes, 188),
        registers: word(&bytes, 192),
    })
}

/// Blinks a lamp of the device, so that a person finds it; returns after that many seconds, 0 for until
/// interrupted. Needs `CAP_NET_ADMIN`.
pub fn identify(device: &str, seconds: u32) -> Result<()> {
    const PHYS_ID: u32 = 0x1c;
    let mut bytes = vec![0; 8];
    put(&mut bytes, 4, seconds);
    // SAFETY: the length of struct ethtool_value.
    unsafe { ask(device, PHYS_ID, &mut bytes, "ethtool identify") }
}

/// The address the device was made with; `None` if the driver does not know one.
pub fn permanent_address(device: &str) -> Result<Option<Vec<u8>>> {
    const GPERMADDR: u32 = 0x20;
    const MAX_ADDR_LEN: usize = 32;
    let mut bytes = vec![0; 8 + MAX_ADDR_LEN];
    put(&mut bytes, 4, MAX_ADDR_LEN as u32);
    // SAFETY: the longest address the kernel knows.
    unsafe { ask(device, GPERMADDR, &mut bytes, "ethtool permanent address")? };
    let length = (word(&bytes, 4) as usize).min(MAX_ADDR_LEN);
    let address = bytes.get(8..8 + length).unwrap_or(&[]);
    Ok(address.iter().any(|byte| *byte != 0).then(|| address.to_vec()))
}

/// A dump of the device's registers: the driver's version of it, and the bytes. Needs `CAP_NET_ADMIN`.
pub fn registers(device: &str) -> Result<(u32, Vec<u8>)> {
    const GREGS: u32 = 4;
    let length = (driver(device)?.registers as usize).min(SLACK);
    if length == 0 {
        return Err(SysError::new("ethtool registers", device, Errno::EOPNOTSUPP));
    }
    let mut bytes = vec![0; 12 + length + SLACK];
    put(&mut bytes, 8, u32::try_from(length).unwrap_or(0));
    // SAFETY: as long as the driver just said, with room for many more.
    unsafe { ask(device, GREGS, &mut bytes, "ethtool registers")? };
    let told = (word(&bytes, 8) as usize).min(length);
    Ok((word(&bytes, 4), bytes.get(12..12 + told).unwrap_or(&[]).to_vec()))
}

/// `struct ethtool_rxnfc` with room for what newer kernels append.
const RXNFC: usize = 4096;

/// How many receive rings hashing spreads over.
pub fn receive_rings(device: &str) -> Result<u64> {
    const GRXRINGS: u32 = 0x2d;
    let mut bytes = vec![0; RXNFC];
    // SAFETY: longer than struct ethtool_rxnfc.
    unsafe { ask(device, GRXRINGS, &mut bytes, "ethtool receive rings")? };
    Ok(bytes.get(8..16).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
}

/// How many classification rules the device holds.
pub fn receive_rules(device: &str) -> Result<u32> {
    const GRXCLSRLCNT: u32 = 0x2e;
    let mut bytes = vec![0; RXNFC];
    // SAFETY: longer than struct ethtool_rxnfc.
    unsafe { ask(device, GRXCLSRLCNT, &mut bytes, "ethtool receive rules")? };
    // struct ethtool_rxnfc: command, flow type, data, struct ethtool_rx_flow_spec (168 bytes), count.
    Ok(word(&bytes, 184))
}

/// The spreading of received packets (`ETHTOOL_GRSSH`): the table, the key, and which hash functions are on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiveHash {
    /// Ring numbers, one for each value of the hash.
    pub table: Vec<u32>,
    /// The secret.
    pub key: Vec<u8>,
    /// Bits of the set [`NameSet::HashFunctions`].
    pub function: u8,
}

/// The spreading of received packets; `EOPNOTSUPP` from devices without.
pub fn receive_hash(device: &str) -> Result<ReceiveHash> {
    const GRSSH: u32 = 0x46;
    const FIXED: usize = 24;
    let mut bytes = vec![0; FIXED];
    // SAFETY: with no sizes stated the kernel writes the fixed part only.
    unsafe { ask(device, GRSSH, &mut bytes, "ethtool receive hash")? };
    let (table, key) = (word(&bytes, 8).min(1 << 16), word(&bytes, 12).min(1 << 12));
    let mut bytes = vec![0; FIXED + table as usize * 4 + key as usize + SLACK];
    put(&mut bytes, 8, table);
    put(&mut bytes, 12, key);
    // SAFETY: as long as the sizes just told, with room for many more.
    unsafe { ask(device, GRSSH, &mut bytes, "ethtool receive hash")? };
    let rest = bytes.get(FIXED..).unwrap_or(&[]);
    let (table_bytes, rest) = rest.split_at_checked(table as usize * 4).unwrap_or((&[], &[]));
    Ok(ReceiveHash {
        table: table_bytes.chunks_exact(4).map(|bytes| word(bytes, 0)).collect(),
        key: rest.get(..key as usize).unwrap_or(&[]).to_vec(),
        function: bytes.get(16).copied().unwrap_or(0),
    })
}

/// The statistics of the device's PHY, by its names.
pub fn phy_statistics(device: &str) -> Result<Vec<(String, u64)>> {
    numbers(device, NameSet::PhyStatistics, 0x4a)
}

/// Carrier, as the driver sees it.
pub fn link(device: &str) -> Result<bool> {
    const GLINK: u32 = 0xa;
    let mut bytes = vec![0; 8];
    // SAFETY: the length of struct ethtool_value.
    unsafe { ask(device, GLINK, &mut bytes, "ethtool link")? };
    Ok(word(&bytes, 4) != 0)
}

/// Speed and duplex.
pub fn link_settings(device: &str) -> Result<LinkSettings> {
    const GLINKSETTINGS: u32 = 0x4c;
    const FIXED: usize = 48;
    const WORDS: usize = 15;
    let operation = "ethtool link settings";
    // The first answer is only how many words a mode mask has, as a negative number.
    let mut bytes = vec![0; FIXED + 3 * 4 * 127];
    // SAFETY: with no words stated the kernel writes the fixed part only.
    unsafe { ask(device, GLINKSETTINGS, &mut bytes, operation)? };
    let words = bytes.get(WORDS).map_or(0, |&byte| byte as i8);
    if words < 0 {
        bytes.fill(0);
        if let Some(place) = bytes.get_mut(WORDS) {
            *place = words.unsigned_abs().min(127);
        }
        // SAFETY: there is room for three masks of the most words that can be stated.
        unsafe { ask(device, GLINKSETTINGS, &mut bytes, operation)? };
    }
    let byte = |offset: usize| bytes.get(offset).copied().unwrap_or(0);
    let speed = word(&bytes, 4);
    Ok(LinkSettings {
        speed: (speed != u32::MAX && speed != 0).then_some(speed),
        full_duplex: match byte(8) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        negotiated: byte(11) == 1,
        port: byte(9),
    })
}

/// Ring sizes; `EOPNOTSUPP` from devices without.
pub fn rings(device: &str) -> Result<Rings> {
    const GRINGPARAM: u32 = 0x10;
    let mut bytes = vec![0; 36];
    // SAFETY: the length of struct ethtool_ringparam.
    unsafe { ask(device, GRINGPARAM, &mut bytes, "ethtool rings")? };
    let at = |index: usize| word(&bytes, 4 * index);
    Ok(Rings { rx_max: at(1), tx_max: at(4), rx: at(5), tx: at(8) })
}

/// Channel counts; `EOPNOTSUPP` from devices without.
pub fn channels(device: &str) -> Result<Channels> {
    const GCHANNELS: u32 = 0x3c;
    let mut bytes = vec![0; 36];
    // SAFETY: the length of struct ethtool_channels.
    unsafe { ask(device, GCHANNELS, &mut bytes, "ethtool channels")? };
    let at = |index: usize| word(&bytes, 4 * index);
    Ok(Channels {
        rx_max: at(1),
        tx_max: at(2),
        other_max: at(3),
        combined_max: at(4),
        rx: at(5),
        tx: at(6),
        other: at(7),
        combined: at(8),
    })
}

/// The names of a set, in the driver's order.
pub fn names(device: &str, set: NameSet) -> Result<Vec<String>> {
    const GSTRINGS: u32 = 0x1b;
    let count = count(device, set)?;
    let mut bytes = vec![0; 12 + count as usize * NAME + SLACK];
    put(&mut bytes, 4, set as u32);
    put(&mut bytes, 8, count);
    // SAFETY: as long as the names just counted, with room for many more.
    unsafe { ask(device, GSTRINGS, &mut bytes, "ethtool names")? };
    let told = (word(&bytes, 8) as usize).min(MOST as usize);
    Ok(bytes.get(12..).unwrap_or(&[]).chunks_exact(NAME).take(told).map(text).collect())
}

/// The driver's own statistics, by the driver's names; `EOPNOTSUPP` from devices without.
pub fn statistics(device: &str) -> Result<Vec<(String, u64)>> {
    const GSTATS: u32 = 0x1d;
    numbers(device, NameSet::Statistics, GSTATS)
}

/// A set of names and a number for each.
fn numbers(device: &str, set: NameSet, command: u32) -> Result<Vec<(String, u64)>> {
    let names = names(device, set)?;
    let mut bytes = vec![0; 8 + names.len() * 8 + SLACK];
    put(&mut bytes, 4, names.len() as u32);
    // SAFETY: as long as the names just counted, with room for many more.
    unsafe { ask(device, command, &mut bytes, "ethtool statistics")? };
    if word(&bytes, 4) as usize != names.len() {
        // Names and numbers no longer belong together.
        return Err(SysError::new("ethtool statistics", device, Errno::EAGAIN));
    }
    let values = bytes.get(8..).unwrap_or(&[]).chunks_exact(8);
    let values = values.map(|bytes| bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)));
    Ok(names.into_iter().zip(values).collect())
}

/// Offload features.
pub fn features(device: &str) -> Result<Vec<Feature>> {
    const GFEATURES: u32 = 0x3a;
    let names = names(device, NameSet::Features)?;
    let blocks = names.len().div_ceil(32);
    let mut bytes = vec![0; 8 + blocks * 16];
    put(&mut bytes, 4, blocks as u32);
    // SAFETY: the kernel writes no more blocks than stated.
    unsafe { ask(device, GFEATURES, &mut bytes, "ethtool features")? };
    // struct ethtool_get_features_block: available, requested, active, never changed.
    let bit =
        |index: usize, which: usize| word(&bytes, 8 + index / 32 * 16 + which * 4) >> (index % 32) & 1 == 1;
    let feature = |(index, name): (usize, String)| Feature {
        name,
        available: bit(index, 0),
        requested: bit(index, 1),
        active: bit(index, 2),
        fixed: bit(index, 3) || !bit(index, 0),
    };
    // Unused bits have no name.
    Ok(names.into_iter().enumerate().filter(|(_, name)| !name.is_empty()).map(feature).collect())
}

/// Switches a feature on or off; needs `CAP_NET_ADMIN`. `false`: the driver keeps it otherwise.
pub fn set_feature(device: &str, name: &str, on: bool) -> Result<bool> {
    const SFEATURES: u32 = 0x3b;
    let operation = "ethtool set feature";
    let names = names(device, NameSet::Features)?;
    let unknown = || SysError::new(operation, format!("{device} {name}"), Errno::EINVAL);
    let index = names.iter().position(|one| one == name).ok_or_else(unknown)?;
    let blocks = names.len().div_ceil(32);
    // struct ethtool_set_features_block: valid, requested.
    let mut bytes = vec![0; 8 + blocks * 8];
    put(&mut bytes, 4, blocks as u32);
    put(&mut bytes, 8 + index / 32 * 8, 1 << (index % 32));
    put(&mut bytes, 8 + index / 32 * 8 + 4, u32::from(on) << (index % 32));
    // SAFETY: the kernel only reads as many blocks as stated.
    unsafe { ask(device, SFEATURES, &mut bytes, operation)? };
    Ok(features(device)?.iter().any(|feature| feature.name == name && feature.active == on))
}

/// How many names a set has (`ETHTOOL_GSSET_INFO`).
fn count(device: &str, set: NameSet) -> Result<u32> {
    const GSSET_INFO: u32 = 0x37;
    let mut bytes = vec![0; 16 + 4];
    let mask = 1_u64 << set as u32;
    if let Some(place) = bytes.get_mut(8..16) {
        place.copy_from_slice(&mask.to_ne_bytes());
    }
    // SAFETY: one bit is asked for, so one number comes back.
    unsafe { ask(device, GSSET_INFO, &mut bytes, "ethtool names")? };
    let told = bytes.get(8..16).and_then(|bytes| bytes.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b));
    if told & mask == 0 {
        return Err(SysError::new("ethtool names", device, Errno::EOPNOTSUPP));
    }
    Ok(word(&bytes, 16).min(MOST))
}

/// Carries out one request; the buffer starts with its number.
///
/// # Safety
/// The buffer must be as long as what the command writes.
unsafe fn ask(device: &str, command: u32, bytes: &mut [u8], operation: &'static str) -> Result<()> {
    put(bytes, 0, command);
    let mut request = Request::named(operation, device)?;
    let pointer = (bytes.as_mut_ptr() as usize).to_ne_bytes();
    if let Some(place) = request.value.get_mut(..pointer.len()) {
        place.copy_from_slice(&pointer);
    }
    let socket = any_socket()?;
    // SAFETY: the pointer is to `bytes`, which lives until after the call and is long enough by promise.
    unsafe { request.call(socket.as_fd(), SIOCETHTOOL, operation) }
}

fn put(bytes: &mut [u8], offset: usize, value: u32) {
    if let Some(place) = bytes.get_mut(offset..offset + 4) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or(&[])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NewNet, make_veth, new_netns};

    #[test]
    fn loopback_has_features_but_no_driver_statistics() {
        let features = features("lo").unwrap();
        let tso = features.iter().find(|feature| feature.name == "tx-tcp-segmentation").unwrap();
        assert!(tso.available || tso.fixed);
        assert_eq!(statistics("lo").unwrap_err().errno, Errno::EOPNOTSUPP);
        assert_eq!(rings("lo").unwrap_err().errno, Errno::EOPNOTSUPP);
        assert!(link("lo").is_ok());
    }

    #[test]
    fn a_virtual_pair_tells_its_driver_and_switches_a_feature() {
        let NewNet::Here(()) = new_netns(|| {
            make_veth("nwt0", "nwt1");
            assert_eq!(driver("nwt0").unwrap().driver, "veth");
            assert!(link("nwt0").unwrap());
            let settings = link_settings("nwt0").unwrap();
            assert_eq!((settings.speed, settings.full_duplex), (Some(10_000), Some(true)));
            let statistics = statistics("nwt0").unwrap();
            let (_, peer) = statistics.iter().find(|(name, _)| name == "peer_ifindex").unwrap();
            assert_eq!(*peer, u64::from(crate::ioctl::index_of("nwt1").unwrap()));
            assert!(channels("nwt0").unwrap().rx >= 1);
            let active = || {
                let features = features("nwt0").unwrap();
                features.iter().find(|one| one.name == "tx-tcp-segmentation").unwrap().active
            };
            assert!(active());
            assert!(set_feature("nwt0", "tx-tcp-segmentation", false).unwrap() && !active());
            assert!(set_feature("nwt0", "tx-tcp-segmentation", true).unwrap() && active());
            assert_eq!(set_feature("nwt0", "no-such", true).unwrap_err().errno, Errno::EINVAL);
        }) else {
            return;
        };
    }

    #[test]
    fn a_missing_device_is_said_by_name() {
        let error = driver("no-such-dev").unwrap_err();
        assert_eq!(error.to_string(), "ethtool driver no-such-dev: ENODEV (No such device)");
    }
}
