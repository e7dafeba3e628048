//! `ip link show`: one device as `ip` writes it (rtnetlink `RTM_NEWLINK`, uapi `linux/if_link.h`). The lines of a
//! kind (bridge, vxlan ...) are in `kinds`, the counters in `stats`.

use netwhy_render::escape::escape_terminal;
use netwhy_wire::netlink::{Fixed, Table};

use super::{kinds, stats};
use crate::iproute::{AF_PACKET, AF_UNSPEC, Ctx, Look, Page, Paint, RTM_GETLINK, lladdr, mac};
use crate::session::ToolError;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;

pub(crate) const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
pub(crate) const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
pub(crate) const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
pub(crate) const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;
pub(crate) const IFLA_LINKINFO: u16 = 18;
pub(crate) const IFLA_IFALIAS: u16 = 20;
const IFLA_NUM_VF: u16 = 21;
const IFLA_VFINFO_LIST: u16 = 22;
const IFLA_AF_SPEC: u16 = 26;
pub(crate) const IFLA_GROUP: u16 = 27;
pub(crate) const IFLA_EXT_MASK: u16 = 29;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_PHYS_PORT_ID: u16 = 34;
const IFLA_PHYS_SWITCH_ID: u16 = 36;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PHYS_PORT_NAME: u16 = 38;
const IFLA_PROTO_DOWN: u16 = 39;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_XDP: u16 = 43;
const IFLA_EVENT: u16 = 44;
const IFLA_NEW_NETNSID: u16 = 45;
const IFLA_MIN_MTU: u16 = 50;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_PROTO_DOWN_REASON: u16 = 55;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_PARENT_DEV_BUS_NAME: u16 = 57;
const IFLA_GRO_MAX_SIZE: u16 = 58;
const IFLA_TSO_MAX_SIZE: u16 = 59;
const IFLA_TSO_MAX_SEGS: u16 = 60;
const IFLA_ALLMULTI: u16 = 61;

/// Attributes of a link are read up to this number.
pub(crate) const LINK_ATTRIBUTES: usize = 70;

pub(crate) const IFF_UP: u32 = 0x1;
const IFF_POINTOPOINT: u32 = 0x10;
const IFF_RUNNING: u32 = 0x40;

/// Flags in the order they are shown; `RUNNING` shows as its absence.
pub(crate) const FLAGS: [(u32, &str); 17] = [
    (0x8, "LOOPBACK"),
    (0x2, "BROADCAST"),
    (0x10, "POINTOPOINT"),
    (0x1000, "MULTICAST"),
    (0x80, "NOARP"),
    (0x200, "ALLMULTI"),
    (0x100, "PROMISC"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x4, "DEBUG"),
    (0x8000, "DYNAMIC"),
    (0x4000, "AUTOMEDIA"),
    (0x2000, "PORTSEL"),
    (0x20, "NOTRAILERS"),
    (IFF_UP, "UP"),
    (0x10000, "LOWER_UP"),
    (0x20000, "DORMANT"),
];

const OPERSTATES: [&str; 7] = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];

/// The word of a hardware type (`ARPHRD_*`, uapi `linux/if_arp.h`).
pub(crate) fn hardware_type(kind: u16) -> String {
    let word = match kind {
        0 => "netrom",
        1 => "ether",
        2 => "eether",
        3 => "ax25",
        4 => "pronet",
        5 => "chaos",
        6 => "ieee802",
        7 => "arcnet",
        8 => "atalk",
        15 => "dlci",
        19 => "atm",
        23 => "metricom",
        24 => "ieee1394",
        32 => "infiniband",
        256 => "slip",
        257 => "cslip",
        258 => "slip6",
        259 => "cslip6",
        264 => "adapt",
        270 => "rose",
        271 => "x25",
        280 => "can",
        290 => "mctp",
        512 => "ppp",
        513 => "cisco",
        516 => "lapb",
        517 => "ddcmp",
        518 => "rawhdlc",
        519 => "rawip",
        768 => "ipip",
        769 => "tunnel6",
        770 => "frad",
        771 => "skip",
        772 => "loopback",
        773 => "ltalk",
        774 => "fddi",
        775 => "bif",
        776 => "sit",
        777 => "ip/ddp",
        778 => "gre",
        779 => "pimreg",
        780 => "hippi",
        781 => "ash",
        782 => "econet",
        783 => "irda",
        784 => "fcpp",
        785 => "fcal",
        786 => "fcpl",
        800 => "tr",
        801 => "ieee802.11",
        802 => "ieee802.11/prism",
        803 => "ieee802.11/radiotap",
        804 => "ieee802.15.4",
        805 => "ieee802.15.4/monitor",
        820 => "phonet",
        821 => "phonet_pipe",
        822 => "caif",
        823 => "gre6",
        824 => "netlink",
        825 => "6lowpan",
        826 => "vsockmon",
        0xffff => "void",
        0xfffe => "none",
        other => return format!("[{other}]"),
    };
    word.to_owned()
}

/// What is shown and what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) index: Option<u32>,
    pub(crate) up: bool,
    pub(crate) master: Option<u32>,
    pub(crate) no_master: bool,
    pub(crate) group: Option<u32>,
    pub(crate) kind: Option<String>,
}

impl Filter {
    /// Whether a link passes.
    pub(crate) fn takes(&self, payload: &[u8]) -> Result<bool, ToolError> {
        let fixed = Fixed(payload);
        let flags = fixed.u32(8).unwrap_or(0);
        if self.index.is_some_and(|index| fixed.u32(4) != Some(index)) || (self.up && flags & IFF_UP == 0) {
            return Ok(false);
        }
        if self.master.is_none() && !self.no_master && self.group.is_none() && self.kind.is_none() {
            return Ok(true);
        }
        let table: Table<'_, LINK_ATTRIBUTES> = Table::after(payload, 16)?;
        let master = table.u32(IFLA_MASTER)?;
        if self.master.is_some_and(|wanted| master != Some(wanted)) || (self.no_master && master.is_some()) {
            return Ok(false);
        }
        if self.group.is_some_and(|group| table.u32(IFLA_GROUP).ok().flatten() != Some(group)) {
            return Ok(false);
        }
        let Some(kind) = &self.kind else { return Ok(true) };
        let info: Option<Table<'_, 6>> = table.nest(IFLA_LINKINFO)?;
        let Some(info) = info else { return Ok(false) };
        // `type bridge_slave` asks for the kind a port has.
        let has = match kind.strip_suffix("_slave") {
            Some(slave) => info.text(4).is_some_and(|text| text == slave),
            None => info.text(1).is_some_and(|text| text == kind.as_str()),
        };
        Ok(has)
    }
}

/// What a link is printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// `ip link`.
    Link,
    /// `ip addr`: what only `ip link` says is left out.
    Addr,
    /// `ip monitor`: as `ip addr`, without the length of the queue.
    Event,
}

/// `3: eth0@if2: ` and its keys.
pub(crate) fn name(
    page: &mut Page<'_>,
    look: &Look,
    table: &Table<'_, LINK_ATTRIBUTES>,
    width: usize,
) -> Result<(), ToolError> {
    let text = table.text(IFLA_IFNAME).unwrap_or_default();
    let text = escape_terminal(&text).into_owned();
    let shown = match table.u32(IFLA_LINK)? {
        None => text.clone(),
        Some(0) => {
            page.json("link", crate::iproute::page::Value::Null);
            format!("{text}@NONE")
        }
        Some(below) if table.has(IFLA_LINK_NETNSID) => {
            page.json("link_index", below);
            format!("{text}@if{below}")
        }
        Some(below) => {
            let name = look.devices.name(below);
            page.json("link", name.as_ref());
            format!("{text}@{name}")
        }
    };
    match width {
        0 => page.paint(Paint::Device, "ifname", format_args!("{shown}: "), &text),
        width => page.paint(Paint::Device, "ifname", format_args!("{shown:<width$} "), &text),
    }
    Ok(())
}

pub(crate) fn flags(
    page: &mut Page<'_>,
    look: &Look,
    flags: u32,
    table: &Table<'_, LINK_ATTRIBUTES>,
) -> Result<(), ToolError> {
    let mut words: Vec<String> = Vec::new();
    if flags & IFF_UP != 0 && flags & IFF_RUNNING == 0 {
        words.push("NO-CARRIER".to_owned());
    }
    let mut left = flags & !IFF_RUNNING;
    for (bit, word) in FLAGS {
        if flags & bit != 0 {
            words.push(word.to_owned());
            left &= !bit;
        }
    }
    if left & 0x40000 != 0 {
        words.push("ECHO".to_owned());
        left &= !0x40000;
    }
    if left != 0 {
        words.push(format!("{left:x}"));
    }
    // The device below is down.
    if let Some(below) = table.u32(IFLA_LINK)?
        && !table.has(IFLA_LINK_NETNSID)
        && look.devices.flags(below).is_some_and(|flags| flags & IFF_UP == 0)
    {
        words.push("M-DOWN".to_owned());
    }
    page.text(format_args!("<{}> ", words.join(",")));
    page.list("flags");
    for word in &words {
        page.json("", word);
    }
    page.end_list();
    Ok(())
}

fn operstate(page: &mut Page<'_>, state: u8, brief: bool) {
    let Some(word) = OPERSTATES.get(usize::from(state)) else {
        return page.put("operstate_index", format_args!("state {state:#x} "), state);
    };
    let paint = match *word {
        "UP" => Paint::Up,
        "DOWN" => Paint::Down,
        _ => Paint::Plain,
    };
    if brief {
        page.paint(paint, "operstate", format_args!("{word:<14} "), *word);
    } else {
        page.say("state ");
        page.paint(paint, "operstate", format_args!("{word} "), *word);
    }
}

/// The line of `-br`, without its end.
pub(crate) fn print_brief(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    what: For,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, LINK_ATTRIBUTES> = Table::after(payload, 16)?;
    name(page, look, &table, 16)?;
    if let Some(state) = table.u8(IFLA_OPERSTATE)? {
        operstate(page, state, true);
    }
    if what == For::Link {
        if let Some(address) = table.get(IFLA_ADDRESS).filter(|address| !address.payload.is_empty()) {
            let text = lladdr(address.payload, fixed.u16(2).unwrap_or(0));
            page.paint(Paint::Mac, "address", format_args!("{text} "), &text);
        }
        flags(page, look, fixed.u32(8).unwrap_or(0), &table)?;
        page.say("\n");
    }
    Ok(())
}

/// One link, its last line ended in text.
pub(crate) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    what: For,
    kind: u16,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, LINK_ATTRIBUTES> = Table::after(payload, 16)?;
    let options = &look.options;
    if kind == RTM_DELLINK {
        page.flag("deleted", "Deleted ");
    }
    let arphrd = fixed.u16(2).unwrap_or(0);
    let bits = fixed.u32(8).unwrap_or(0);
    let index = fixed.u32(4).unwrap_or(0);
    page.put("ifindex", format_args!("{index}: "), index);
    name(page, look, &table, 0)?;
    flags(page, look, bits, &table)?;
    if let Some(mtu) = table.u32(IFLA_MTU)? {
        page.put("mtu", format_args!("mtu {mtu} "), mtu);
    }
    if let Some(xdp) = table.nest::<9>(IFLA_XDP)? {
        xdp_words(page, &xdp)?;
    }
    if let Some(qdisc) = table.text(IFLA_QDISC) {
        page.put("qdisc", format_args!("qdisc {qdisc} "), &qdisc);
    }
    if let Some(master) = table.u32(IFLA_MASTER)? {
        let name = look.devices.name(master);
        page.say("master ");
        page.paint(Paint::Device, "master", format_args!("{name} "), name.as_ref());
    }
    if let Some(state) = table.u8(IFLA_OPERSTATE)? {
        operstate(page, state, false);
    }
    if what == For::Link
        && let Some(mode) = table.u8(IFLA_LINKMODE)?
    {
        match ["DEFAULT", "DORMANT"].get(usize::from(mode)) {
            Some(word) => page.put("linkmode", format_args!("mode {word} "), *word),
            None => page.put("linkmode_index", format_args!("mode {mode} "), mode),
        }
    }
    if let Some(group) = table.u32(IFLA_GROUP)? {
        let name = look.tables.group(group);
        page.put("group", format_args!("group {name} "), name.as_ref());
    }
    let queue = table.u32(IFLA_TXQLEN)?.or_else(|| look.devices.queue(index));
    if let Some(length) = queue.filter(|length| *length != 0 && what != For::Event) {
        page.put("txqlen", format_args!("qlen {length}"), length);
    }
    if let Some(event) = table.u32(IFLA_EVENT)?.filter(|event| *event != 0) {
        const EVENTS: [&str; 8] = [
            "NONE",
            "REBOOT",
            "FEATURE CHANGE",
            "BONDING FAILOVER",
            "NOTIFY PEERS",
            "RESEND IGMP",
            "BONDING OPTION",
            "",
        ];
        match EVENTS.get(event as usize).filter(|word| !word.is_empty()) {
            Some(word) => page.put("event", format_args!(" event {word} "), *word),
            None => page.put("event", format_args!(" event {event} "), event.to_string()),
        }
    }
    if matches!(options.family, AF_UNSPEC | AF_PACKET) || options.details {
        addresses(page, look, &table, arphrd, bits);
    }
    namespaces(page, look, &table)?;
    if table.u8(IFLA_PROTO_DOWN)?.is_some_and(|down| down != 0) {
        page.flag("proto_down", " protodown on ");
    }
    if let Some(reason) = table.nest::<3>(IFLA_PROTO_DOWN_REASON)?
        && let Some(bits) = reason.u32(2)?.filter(|bits| *bits != 0)
    {
        page.text(format_args!("protodown_reason <{bits:#x}> "));
        page.json("proto_down_reason", format!("{bits:#x}"));
    }
    if options.details {
        details(page, look, &table, arphrd, what)?;
    }
    if (what == For::Link || options.details)
        && let Some(alias) = table.text(IFLA_IFALIAS)
    {
        page.line();
        page.put("ifalias", format_args!("    alias {}", escape_terminal(&alias)), &alias);
    }
    if what == For::Link && options.stats > 0 {
        page.line();
        stats::link(page, look, &table)?;
    }
    if (what == For::Link || options.details)
        && table.u32(IFLA_NUM_VF)?.is_some_and(|count| count > 0)
        && let Some(list) = table.get(IFLA_VFINFO_LIST)
    {
        kinds::vf::list(page, list.attributes())?;
    }
    if let Some(list) = table.get(IFLA_PROP_LIST) {
        page.list("altnames");
        for one in list.attributes() {
            let one = one?;
            if one.kind == IFLA_ALT_IFNAME {
                page.line();
                page.put("", format_args!("    altname {}", escape_terminal(&one.text())), &one.text());
            }
        }
        page.end_list();
    }
    if options.details
        && let Some(xdp) = table.nest::<9>(IFLA_XDP)?
    {
        xdp_details(page, &xdp)?;
    }
    page.say("\n");
    Ok(())
}

/// `link/ether 02:... brd ff:...`.
fn addresses(page: &mut Page<'_>, look: &Look, table: &Table<'_, LINK_ATTRIBUTES>, arphrd: u16, bits: u32) {
    page.line();
    let word = if look.options.numeric { format!("[{arphrd}]") } else { hardware_type(arphrd) };
    page.put("link_type", format_args!("    link/{word} "), &word);
    if let Some(address) = table.get(IFLA_ADDRESS).filter(|address| !address.payload.is_empty()) {
        let text = lladdr(address.payload, arphrd);
        page.paint(Paint::Mac, "address", format_args!("{text}"), &text);
    }
    if let Some(address) = table.get(IFLA_BROADCAST).filter(|address| !address.payload.is_empty()) {
        let text = lladdr(address.payload, arphrd);
        if bits & IFF_POINTOPOINT != 0 {
            page.say(" peer ");
            page.json("link_pointtopoint", true);
        } else {
            page.say(" brd ");
        }
        page.paint(Paint::Mac, "broadcast", format_args!("{text}"), &text);
    }
    if let Some(permanent) = table.get(IFLA_PERM_ADDRESS)
        && table.get(IFLA_ADDRESS).is_none_or(|address| address.payload != permanent.payload)
    {
        let text = lladdr(permanent.payload, arphrd);
        page.say(" permaddr ");
        page.paint(Paint::Mac, "permaddr", format_args!("{text}"), &text);
    }
}

fn namespaces(page: &mut Page<'_>, look: &Look, table: &Table<'_, LINK_ATTRIBUTES>) -> Result<(), ToolError> {
    for (kind, key, word) in
        [(IFLA_LINK_NETNSID, "link_netnsid", "link"), (IFLA_NEW_NETNSID, "new_netnsid", "new")]
    {
        let Some(id) = table.i32(kind)? else { continue };
        if page.is_json() {
            page.json(key, id);
        } else if id < 0 {
            page.text(format_args!(" {word}-netnsid unknown"));
        } else {
            match look.namespace(id) {
                Some(name) => page.text(format_args!(" {word}-netns {}", escape_terminal(name))),
                None => page.text(format_args!(" {word}-netnsid {id}")),
            }
        }
    }
    Ok(())
}

fn details(
    page: &mut Page<'_>,
    look: &Look,
    table: &Table<'_, LINK_ATTRIBUTES>,
    arphrd: u16,
    what: For,
) -> Result<(), ToolError> {
    if let Some(count) = table.u32(IFLA_PROMISCUITY)? {
        page.put("promiscuity", format_args!(" promiscuity {count} "), count);
    }
    if let Some(count) = table.u32(IFLA_ALLMULTI)? {
        page.put("allmulti", format_args!(" allmulti {count} "), count);
    }
    if let Some(bytes) = table.u32(IFLA_MIN_MTU)? {
        page.put("min_mtu", format_args!("minmtu {bytes} "), bytes);
    }
    if let Some(bytes) = table.u32(IFLA_MAX_MTU)? {
        page.put("max_mtu", format_args!("maxmtu {bytes} "), bytes);
    }
    if let Some(info) = table.nest::<6>(IFLA_LINKINFO)? {
        kinds::link_info(page, look, &info, arphrd)?;
    }
    if what == For::Link
        && let Some(families) = table.get(IFLA_AF_SPEC)
        && let Some(inet6) = families.attributes().find(10)
    {
        let inet6: Table<'_, 9> = Table::read(inet6.attributes())?;
        if let Some(mode) = inet6.u8(8)? {
            match ["eui64", "none", "stable_secret", "random"].get(usize::from(mode)) {
                Some(word) => page.put("inet6_addr_gen_mode", format_args!("addrgenmode {word} "), *word),
                None => page.put(
                    "inet6_addr_gen_mode",
                    format_args!("addrgenmode {mode:#x} "),
                    format!("{mode:#x}"),
                ),
            }
        }
    }
    for (kind, key, word) in [
        (IFLA_NUM_TX_QUEUES, "num_tx_queues", "numtxqueues"),
        (IFLA_NUM_RX_QUEUES, "num_rx_queues", "numrxqueues"),
        (IFLA_GSO_MAX_SIZE, "gso_max_size", "gso_max_size"),
        (IFLA_GSO_MAX_SEGS, "gso_max_segs", "gso_max_segs"),
        (IFLA_TSO_MAX_SIZE, "tso_max_size", "tso_max_size"),
        (IFLA_TSO_MAX_SEGS, "tso_max_segs", "tso_max_segs"),
        (IFLA_GRO_MAX_SIZE, "gro_max_size", "gro_max_size"),
    ] {
        if let Some(number) = table.u32(kind)? {
            page.put(key, format_args!("{word} {number} "), number);
        }
    }
    if let Some(name) = table.text(IFLA_PHYS_PORT_NAME) {
        page.put("phys_port_name", format_args!("portname {} ", escape_terminal(&name)), &name);
    }
    for (kind, key, word) in
        [(IFLA_PHYS_PORT_ID, "phys_port_id", "portid"), (IFLA_PHYS_SWITCH_ID, "phys_switch_id", "switchid")]
    {
        if let Some(id) = table.get(kind) {
            let text = mac(id.payload).replace(':', "");
            page.put(key, format_args!("{word} {text} "), &text);
        }
    }
    for (kind, key, word) in [
        (IFLA_PARENT_DEV_BUS_NAME, "parentbus", "parentbus"),
        (IFLA_PARENT_DEV_NAME, "parentdev", "parentdev"),
    ] {
        if let Some(name) = table.text(kind) {
            page.put(key, format_args!("{word} {} ", escape_terminal(&name)), &name);
        }
    }
    Ok(())
}

const XDP_MODES: [&str; 5] = ["", "xdp", "xdpgeneric", "xdpoffload", "xdpmulti"];

/// `xdpgeneric/id:12 ` behind the MTU.
fn xdp_words(page: &mut Page<'_>, xdp: &Table<'_, 9>) -> Result<(), ToolError> {
    let mode = xdp.u8(2)?.unwrap_or(0);
    if mode == 0 {
        return Ok(());
    }
    let word = XDP_MODES.get(usize::from(mode)).copied().unwrap_or("xdp");
    if page.is_json() {
        return Ok(());
    }
    match xdp.u32(4)? {
        Some(id) if mode != 4 => page.text(format_args!("{word}/id:{id} ")),
        _ => page.text(format_args!("{word} ")),
    }
    Ok(())
}

/// The programs in JSON, and with `-d` in text.
fn xdp_details(page: &mut Page<'_>, xdp: &Table<'_, 9>) -> Result<(), ToolError> {
    let mode = xdp.u8(2)?.unwrap_or(0);
    if mode == 0 {
        return Ok(());
    }
    page.open("xdp");
    page.json("mode", mode);
    page.list("attached");
    for (number, kind) in [(2_u16, 6_u16), (1, 5), (3, 7)] {
        let id =
            xdp.u32(kind)?.or(if mode == u8::try_from(number).unwrap_or(0) { xdp.u32(4)? } else { None });
        let Some(id) = id else { continue };
        page.open("");
        page.json("mode", number);
        page.open("prog");
        page.line();
        page.put(
            "id",
            format_args!("    prog/{} id {id} ", XDP_MODES.get(usize::from(number)).unwrap_or(&"xdp")),
            id,
        );
        page.close();
        page.close();
    }
    page.end_list();
    page.close();
    Ok(())
}

/// Reads links, all or those a filter takes, and remembers their names.
pub(crate) fn gather(ctx: &mut Ctx<'_>, filter: &Filter, family: u8) -> Result<Vec<Vec<u8>>, ToolError> {
    // With counters of virtual functions only where details are wanted.
    const RTEXT_FILTER_VF: u32 = 1;
    let mut header = [0; 16];
    header[0] = family;
    let mut request = netwhy_wire::netlink::Builder::with_header(&header);
    request.u32(IFLA_EXT_MASK, RTEXT_FILTER_VF);
    let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    let all = ctx.gather(RTM_GETLINK, &request)?;
    let mut taken = Vec::new();
    for (_, payload) in all {
        let table: Table<'_, LINK_ATTRIBUTES> = Table::after(&payload, 16)?;
        if let Some(name) = table.text(IFLA_IFNAME) {
            let fixed = Fixed(&payload);
            ctx.look.devices.put(fixed.u32(4).unwrap_or(0), &name, fixed.u32(8).unwrap_or(0));
        }
        if table.has(IFLA_LINK_NETNSID) && ctx.look.namespaces.get().is_none() {
            ctx.load_namespaces();
        }
        if filter.takes(&payload)? {
            taken.push(payload);
        }
    }
    Ok(taken)
}

/// `ip link show` with its filters taken.
pub(crate) fn show(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<(), ToolError> {
    let links = gather(ctx, filter, AF_UNSPEC)?;
    ctx.page.list("");
    for link in &links {
        ctx.page.open("");
        if ctx.look.options.brief {
            print_brief(&mut ctx.page, &ctx.look, link, For::Link)?;
        } else {
            print(&mut ctx.page, &ctx.look, link, For::Link, RTM_NEWLINK)?;
        }
        ctx.page.close();
        ctx.page.turn()?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}
