//! `ip link add`, `set` and `delete`.

use netwhy_wire::netlink::{Attributes, Builder, Fixed};

use super::super::link::{
    IFF_UP, IFLA_ADDRESS, IFLA_GROUP, IFLA_IFALIAS, IFLA_IFNAME, IFLA_LINK, IFLA_LINKINFO, IFLA_MASTER,
    IFLA_MTU, IFLA_TXQLEN, RTM_DELLINK, RTM_NEWLINK,
};
use super::{flags, kinds, xdp};
use crate::iproute::words::{self, Words, garbage, on_off, wrong};
use crate::iproute::{Ctx, RTM_GETLINK, WRONG, mac};
use crate::session::ToolError;

const IFLA_BROADCAST: u16 = 2;
const IFLA_LINKMODE: u16 = 17;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_PROTO_DOWN: u16 = 39;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GRO_MAX_SIZE: u16 = 58;

/// Flags of a device by the word that sets them.
const BITS: [(&str, u32); 6] = [
    ("multicast", 0x1000),
    ("allmulticast", 0x200),
    ("promisc", 0x100),
    ("trailers", 0x20),
    ("dynamic", 0x8000),
    // `arp off` sets NOARP.
    ("arp", 0x80),
];

/// What the words of one device say.
pub(super) struct Settings {
    pub(super) index: u32,
    pub(super) bits: u32,
    pub(super) mask: u32,
    pub(super) attributes: Builder,
    /// The name of the device that changes, or is made.
    pub(super) name: Option<String>,
    /// What would set back what was set, as words of `ip link set`.
    undo: Vec<String>,
    /// Files that have to stay open until the message is sent.
    keep: Vec<std::fs::File>,
    programs: Vec<netwhy_sys::bpf::Program>,
}

impl Settings {
    fn new() -> Self {
        Settings {
            index: 0,
            bits: 0,
            mask: 0,
            attributes: Builder::new(),
            name: None,
            undo: Vec::new(),
            keep: Vec::new(),
            programs: Vec::new(),
        }
    }

    fn bit(&mut self, bit: u32, on: bool) {
        self.mask |= bit;
        self.bits = if on { self.bits | bit } else { self.bits & !bit };
    }

    /// The whole message: `struct ifinfomsg` and the attributes.
    fn message(self) -> Result<Builder, ToolError> {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&self.index.to_ne_bytes());
        header[8..12].copy_from_slice(&self.bits.to_ne_bytes());
        header[12..].copy_from_slice(&self.mask.to_ne_bytes());
        let mut message = Builder::with_header(&header);
        let attributes = self.attributes.finish().map_err(super::too_long)?;
        message.raw(&attributes);
        Ok(message)
    }
}

/// The old state of a device, for the undo.
struct Old(Vec<u8>);

impl Old {
    fn read(ctx: &mut Ctx<'_>, index: u32) -> Result<Self, ToolError> {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let replies = ctx.ask(RTM_GETLINK, Builder::with_header(&header))?;
        let payload = replies.into_iter().next().map(|(_, payload)| payload).unwrap_or_default();
        Ok(Old(payload))
    }

    fn number(&self, kind: u16) -> u32 {
        Attributes::after(&self.0, 16).find(kind).and_then(|attribute| attribute.u32().ok()).unwrap_or(0)
    }

    fn text(&self, kind: u16) -> String {
        Attributes::after(&self.0, 16)
            .find(kind)
            .map(|attribute| attribute.text().into_owned())
            .unwrap_or_default()
    }

    fn hardware(&self, kind: u16) -> String {
        Attributes::after(&self.0, 16).find(kind).map(|attribute| mac(attribute.payload)).unwrap_or_default()
    }

    fn has(&self, bit: u32) -> bool {
        Fixed(&self.0).u32(8).unwrap_or(0) & bit != 0
    }

    fn kind(&self) -> String {
        let info = Attributes::after(&self.0, 16).find(IFLA_LINKINFO);
        let kind = info.and_then(|info| info.attributes().find(1));
        kind.map(|kind| kind.text().into_owned()).unwrap_or_default()
    }
}

/// The namespace a device is to go to.
fn namespace(ctx: &Ctx<'_>, settings: &mut Settings, word: &str) -> Result<(), ToolError> {
    use std::os::fd::AsRawFd;
    let path = ctx.scope.root.join("run/netns").join(word);
    match std::fs::File::open(path) {
        Ok(file) => {
            settings.attributes.i32(IFLA_NET_NS_FD, file.as_raw_fd());
            settings.keep.push(file);
        }
        Err(_) => {
            let pid: u32 = word.parse().map_err(|_| wrong(word, "Invalid \"netns\" value\n"))?;
            settings.attributes.u32(IFLA_NET_NS_PID, pid);
        }
    }
    Ok(())
}

/// One setting and its value; `false` if the word is none.
fn setting(
    ctx: &mut Ctx<'_>,
    settings: &mut Settings,
    old: Option<&Old>,
    word: &str,
    words: &mut Words<'_>,
) -> Result<bool, ToolError> {
    let mut undo = |text: String| settings.undo.push(text);
    let onoff = |on: bool| if on { "on" } else { "off" };
    match word {
        "up" | "down" => {
            if let Some(old) = old {
                undo(if old.has(IFF_UP) { "up" } else { "down" }.to_owned());
            }
            settings.bit(IFF_UP, word == "up");
        }
        "mtu" => {
            if let Some(old) = old {
                undo(format!("mtu {}", old.number(IFLA_MTU)));
            }
            settings.attributes.u32(IFLA_MTU, words::number(words.value()?, "Invalid \"mtu\" value\n")?);
        }
        "txqueuelen" | "txqlen" | "qlen" => {
            if let Some(old) = old {
                undo(format!("txqueuelen {}", old.number(IFLA_TXQLEN)));
            }
            settings
                .attributes
                .u32(IFLA_TXQLEN, words::number(words.value()?, "Invalid \"txqueuelen\" value\n")?);
        }
        "address" => {
            if let Some(old) = old {
                undo(format!("address {}", old.hardware(IFLA_ADDRESS)));
            }
            settings.attributes.bytes(IFLA_ADDRESS, &words::hardware(words.value()?)?);
        }
        "broadcast" | "brd" => {
            if let Some(old) = old {
                undo(format!("broadcast {}", old.hardware(IFLA_BROADCAST)));
            }
            settings.attributes.bytes(IFLA_BROADCAST, &words::hardware(words.value()?)?);
        }
        "alias" => {
            if let Some(old) = old {
                undo(format!("alias '{}'", old.text(IFLA_IFALIAS)));
            }
            settings.attributes.str(IFLA_IFALIAS, words.value()?);
        }
        "group" => {
            if let Some(old) = old {
                undo(format!("group {}", old.number(IFLA_GROUP)));
            }
            let word = words.value()?;
            let group =
                ctx.look.tables.groups(word).ok_or_else(|| wrong(word, "Invalid \"group\" value\n"))?;
            settings.attributes.u32(IFLA_GROUP, group);
        }
        "master" | "vrf" | "nomaster" => {
            if let Some(old) = old {
                let master = old.number(IFLA_MASTER);
                undo(match master {
                    0 => "nomaster".to_owned(),
                    index => format!("master {}", ctx.look.devices.name(index)),
                });
            }
            let index = match word {
                "nomaster" => 0,
                _ => {
                    let name = words.value()?;
                    ctx.find_device(name)?.ok_or_else(|| wrong(name, "Device does not exist\n"))?
                }
            };
            settings.attributes.u32(IFLA_MASTER, index);
        }
        "netns" => {
            undo("(from inside the other namespace) netns PID-OF-A-PROCESS-HERE".to_owned());
            let word = words.value()?;
            namespace(ctx, settings, word)?;
        }
        "mode" => {
            let word = words.value()?;
            let number = match word {
                "default" => 0,
                "dormant" => 1,
                _ => return Err(wrong(word, "Invalid link mode\n")),
            };
            settings.attributes.u8(IFLA_LINKMODE, number);
        }
        "protodown" => {
            let on = on_off("protodown", words.value()?)?;
            undo(format!("protodown {}", onoff(!on)));
            settings.attributes.u8(IFLA_PROTO_DOWN, u8::from(on));
        }
        "gso_max_size" | "gso_max_segs" | "gro_max_size" => {
            let kind = match word {
                "gso_max_size" => IFLA_GSO_MAX_SIZE,
                "gso_max_segs" => IFLA_GSO_MAX_SEGS,
                _ => IFLA_GRO_MAX_SIZE,
            };
            if let Some(old) = old {
                undo(format!("{word} {}", old.number(kind)));
            }
            settings.attributes.u32(kind, words::number(words.value()?, "Invalid value\n")?);
        }
        "numtxqueues" | "numrxqueues" => {
            let kind = if word == "numtxqueues" { IFLA_NUM_TX_QUEUES } else { IFLA_NUM_RX_QUEUES };
            settings.attributes.u32(kind, words::number(words.value()?, "Invalid number of queues\n")?);
        }
        "addrgenmode" => {
            let word = words.value()?;
            let mode = ["eui64", "none", "stable_secret", "random"].iter().position(|known| *known == word);
            let mode = mode
                .and_then(|mode| u8::try_from(mode).ok())
                .ok_or_else(|| wrong(word, "Invalid address generation mode\n"))?;
            settings.attributes.nest(IFLA_AF_SPEC, |families| {
                families.nest(10, |inet6| {
                    inet6.u8(8, mode);
                });
            });
        }
        "xdp" | "xdpgeneric" | "xdpdrv" | "xdpoffload" => {
            let program = xdp::words(&mut settings.attributes, word, words)?;
            undo(format!("{word} off"));
            settings.programs.extend(program);
        }
        word => match BITS.iter().find(|(name, _)| *name == word) {
            Some((name, bit)) => {
                let on = on_off(name, words.value()?)?;
                if let Some(old) = old {
                    let was = old.has(*bit) != (*name == "arp");
                    undo(format!("{name} {}", onoff(was)));
                }
                settings.bit(*bit, on != (*name == "arp"));
            }
            None => return Ok(false),
        },
    }
    Ok(true)
}

/// `ip link set`.
pub(crate) fn set(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    ctx.load_devices()?;
    let mut settings = Settings::new();
    let mut device: Option<&str> = None;
    let (mut old, mut renamed, mut kind) = (None, None, None);
    while let Some(word) = words.next() {
        if device.is_none() {
            let name = match word {
                "dev" => words.value()?,
                "group" => {
                    return Err(ToolError::Refused {
                        what: "ip link set group".to_owned(),
                        why: "set one device at a time, so that each change has an undo".to_owned(),
                        code: WRONG,
                    });
                }
                name => name,
            };
            settings.index = ctx.device(name)?;
            old = Some(Old::read(ctx, settings.index)?);
            device = Some(name);
            continue;
        }
        match word {
            "dev" => return Err(garbage("dev", words.value()?)),
            "name" => {
                let name = words.value()?;
                settings.attributes.str(IFLA_IFNAME, name);
                renamed = Some(name.to_owned());
            }
            "type" => {
                let name = words.value()?;
                kind = Some(name.to_owned());
                let info = kinds::info(ctx, name, &mut words, None)?;
                settings.attributes.bytes(IFLA_LINKINFO | netwhy_wire::netlink::NLA_F_NESTED, &info);
            }
            word => {
                if !setting(ctx, &mut settings, old.as_ref(), word, &mut words)? {
                    return Err(garbage("dev", word));
                }
            }
        }
    }
    let Some(name) = device else {
        return Err(ToolError::usage("Not enough of information: \"dev\" argument is required.", WRONG));
    };
    if let Some(old) = &old
        && kind.as_ref().is_some_and(|kind| *kind != old.kind())
        && !kind.as_ref().is_some_and(|kind| kind.ends_with("_slave"))
    {
        return Err(ToolError::usage(format!("\"{name}\" is of another type: {}", old.unwrap_kind()), WRONG));
    }
    if let Some(new) = &renamed {
        settings.undo.push(format!("name {name}"));
        settings.name = Some(new.clone());
    }
    let undo = match (settings.undo.is_empty(), &kind) {
        (true, Some(_)) => Some(format!("ip -d link show {name} has the values that were set before")),
        (true, None) => None,
        (false, _) => Some(format!(
            "ip link set dev {} {}",
            renamed.as_deref().unwrap_or(name),
            settings.undo.join(" ")
        )),
    };
    ctx.announce(&format!("ip link set {}", all.join(" ")), undo.as_deref())?;
    let (keep, programs) = (std::mem::take(&mut settings.keep), std::mem::take(&mut settings.programs));
    let message = settings.message()?;
    let result = ctx.change(RTM_NEWLINK, 0, message);
    drop((keep, programs));
    result
}

impl Old {
    fn unwrap_kind(&self) -> String {
        let kind = self.kind();
        if kind.is_empty() { "none".to_owned() } else { kind }
    }
}

/// `ip link add`: also one end of a pair.
pub(crate) fn add(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    ctx.load_devices()?;
    let mut settings = Settings::new();
    let (mut kind, mut lower) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "link" => {
                let name = words.value()?;
                let index = ctx
                    .find_device(name)?
                    .ok_or_else(|| ToolError::failed(format!("Cannot find device \"{name}\""), 1))?;
                settings.attributes.u32(IFLA_LINK, index);
                lower = Some(index);
            }
            "name" | "dev" => settings.name = Some(words.value()?.to_owned()),
            "index" => settings.index = words::number(words.value()?, "Invalid \"index\" value")?,
            "type" => {
                let name = words.value()?;
                kind = Some(name.to_owned());
                let info = kinds::info(ctx, name, &mut words, lower)?;
                settings.attributes.bytes(IFLA_LINKINFO | netwhy_wire::netlink::NLA_F_NESTED, &info);
            }
            word => {
                if !setting(ctx, &mut settings, None, word, &mut words)? {
                    if settings.name.is_some() {
                        return Err(garbage("dev", word));
                    }
                    settings.name = Some(word.to_owned());
                }
            }
        }
    }
    let Some(kind) = kind else {
        return Err(ToolError::usage("Not enough information: \"type\" argument is required", WRONG));
    };
    if let Some(name) = settings.name.clone() {
        settings.attributes.str(IFLA_IFNAME, &name);
    }
    let undo = match &settings.name {
        Some(name) => format!("ip link del {name}"),
        None => format!("ip link del NAME of the new {kind}, as ip link show tells"),
    };
    ctx.announce(&format!("ip link {verb} {}", all.join(" ")), Some(&undo))?;
    let keep = std::mem::take(&mut settings.keep);
    let message = settings.message()?;
    let result = ctx.change(RTM_NEWLINK, flags(verb), message);
    drop(keep);
    result
}

/// `ip link delete`.
pub(crate) fn delete(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    ctx.load_devices()?;
    let mut name = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => name = Some(words.value()?),
            "type" => {
                words.value()?;
            }
            "group" => {
                return Err(ToolError::Refused {
                    what: "ip link delete group".to_owned(),
                    why: "remove one device at a time".to_owned(),
                    code: WRONG,
                });
            }
            word => name = Some(word),
        }
    }
    let Some(name) = name else {
        return Err(ToolError::usage("Not enough of information: \"dev\" argument is required.", WRONG));
    };
    let index = ctx.device(name)?;
    let old = Old::read(ctx, index)?;
    let kind = old.kind();
    let undo = (!kind.is_empty()).then(|| {
        format!("ip link add {name} type {kind}, with the details ip -d link show {name} tells now; its addresses and routes go too")
    });
    ctx.announce(&format!("remove device {name}"), undo.as_deref())?;
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    ctx.change(RTM_DELLINK, 0, Builder::with_header(&header))
}

/// The other end of a pair, as the words behind `peer` say.
pub(super) struct Peer {
    /// `struct ifinfomsg` and its attributes.
    pub(super) bytes: Vec<u8>,
    pub(super) keep: Vec<std::fs::File>,
}

impl Peer {
    pub(super) fn read(ctx: &mut Ctx<'_>, words: &mut Words<'_>) -> Result<Self, ToolError> {
        let mut settings = Settings::new();
        while let Some(word) = words.next() {
            match word {
                "name" | "dev" => settings.name = Some(words.value()?.to_owned()),
                "index" => settings.index = words::number(words.value()?, "Invalid \"index\" value")?,
                word => {
                    if !setting(ctx, &mut settings, None, word, words)? {
                        settings.name = Some(word.to_owned());
                    }
                }
            }
        }
        if let Some(name) = settings.name.clone() {
            settings.attributes.str(IFLA_IFNAME, &name);
        }
        let keep = std::mem::take(&mut settings.keep);
        let bytes = settings.message()?.finish().map_err(super::too_long)?;
        Ok(Peer { bytes, keep })
    }
}

/// `ip link property add|del dev DEV altname NAME...`.
pub(crate) fn property(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    const RTM_NEWLINKPROP: u16 = 108;
    const RTM_DELLINKPROP: u16 = 109;
    const IFLA_PROP_LIST: u16 = 52;
    const IFLA_ALT_IFNAME: u16 = 53;
    let verb = words.value()?;
    let (kind, other, code) = match verb {
        "add" => (RTM_NEWLINKPROP, "del", flags("add")),
        word if words::matches(word, "delete") => (RTM_DELLINKPROP, "add", 0),
        other => {
            return Err(ToolError::usage(
                format!("Operator \"{other}\" is unknown, try \"ip link help\"."),
                WRONG,
            ));
        }
    };
    ctx.load_devices()?;
    let (mut device, mut names) = (None, Vec::new());
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?),
            "altname" => names.push(words.value()?),
            word if device.is_none() => device = Some(word),
            word => return Err(garbage("dev", word)),
        }
    }
    let device = device
        .ok_or_else(|| ToolError::usage("Not enough of information: \"dev\" argument is required.", WRONG))?;
    let index = ctx.device(device)?;
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Builder::with_header(&header);
    message.nest(IFLA_PROP_LIST, |list| {
        for name in &names {
            list.str(IFLA_ALT_IFNAME, name);
        }
    });
    let words: Vec<String> = names.iter().map(|name| format!("altname {name}")).collect();
    let words = words.join(" ");
    ctx.announce(
        &format!("ip link property {verb} dev {device} {words}"),
        Some(&format!("ip link property {other} dev {device} {words}")),
    )?;
    ctx.change(kind, code, message)
}

/// Every flag `ip link set` knows is one `ip link show` has a word for.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_can_be_set_are_flags_that_are_shown() {
        for (word, bit) in BITS {
            assert!(super::super::super::link::FLAGS.iter().any(|(known, _)| *known == bit), "{word}");
        }
    }
}
