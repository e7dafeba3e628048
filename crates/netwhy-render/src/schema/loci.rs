//! The objects a person can change, one shape a kind. A table, so that it reads like one.

use serde_json::{Map, Value, json};

/// Type of a field.
#[derive(Clone, Copy)]
enum T {
    Text,
    /// Text or null.
    MaybeText,
    /// An unsigned number.
    Number,
    /// An unsigned number or null.
    MaybeNumber,
    /// An IP address.
    Address,
    /// An IP address or null.
    MaybeAddress,
    /// A prefix: address and length in bits.
    Prefix,
    /// tcp, udp or icmp.
    Proto,
}

type Row = (&'static str, &'static str, &'static [(&'static str, T, &'static str)]);

const FAMILY: (&str, T, &str) =
    ("family", T::Text, "Family of the table: ip, ip6, inet, arp, bridge or netdev.");
const TABLE: (&str, T, &str) = ("table", T::Text, "Name of the table.");
const CHAIN: (&str, T, &str) = ("chain", T::Text, "Name of the chain.");
const DEV: (&str, T, &str) = ("dev", T::Text, "Name of the device.");
const DETAIL: (&str, T, &str) = ("detail", T::Text, "Which part of it, in words.");
const XT: (&str, T, &str) =
    ("command", T::Text, "The tool of its family: iptables, ip6tables, arptables or ebtables.");

/// Every kind of object with its fields.
const KINDS: &[Row] = &[
    (
        "nft-rule",
        "One nftables rule.",
        &[
            FAMILY,
            TABLE,
            CHAIN,
            ("handle", T::Number, "Handle of the rule, as nft -a prints it."),
            ("text", T::Text, "The rule as text."),
        ],
    ),
    (
        "nft-chain",
        "The policy of an nftables base chain.",
        &[
            FAMILY,
            TABLE,
            CHAIN,
            ("hook", T::Text, "Hook of the chain."),
            ("policy", T::Text, "Policy of the chain."),
        ],
    ),
    (
        "nft-set",
        "An nftables set or map, with the element that decides.",
        &[
            FAMILY,
            TABLE,
            ("set", T::Text, "Name of the set or map."),
            ("element", T::MaybeText, "The element; null when it is the set as a whole."),
        ],
    ),
    (
        "ipt-rule",
        "One legacy xtables rule.",
        &[
            XT,
            TABLE,
            CHAIN,
            ("number", T::Number, "Number of the rule in its chain, counted from 1."),
            ("text", T::Text, "The rule as text."),
        ],
    ),
    (
        "ipt-chain",
        "The policy of a built-in xtables chain.",
        &[XT, TABLE, CHAIN, ("policy", T::Text, "Policy of the chain.")],
    ),
    (
        "ipset",
        "An ipset and the member that matched.",
        &[
            ("set", T::Text, "Name of the set."),
            ("member", T::MaybeText, "The member; null when it is the set as a whole."),
        ],
    ),
    (
        "route",
        "One route.",
        &[
            ("table", T::Number, "Number of the routing table."),
            ("dst", T::Prefix, "Destination."),
            ("dev", T::MaybeText, "Device, when the route has one."),
            ("gateway", T::MaybeAddress, "Next hop, when the route has one."),
            (
                "route_type",
                T::Text,
                "Type: unicast, local, blackhole, unreachable, prohibit, throw and so on.",
            ),
            ("metric", T::Number, "Metric; 0 when none was set."),
        ],
    ),
    (
        "missing-route",
        "A route that ought to exist and does not.",
        &[
            ("table", T::Number, "Number of the routing table."),
            ("dst", T::Address, "Destination without a route."),
        ],
    ),
    (
        "rule",
        "A policy routing rule.",
        &[
            ("family", T::Number, "4 or 6."),
            ("priority", T::Number, "Priority, as ip rule prints it."),
            ("text", T::Text, "The rule as text."),
        ],
    ),
    ("nexthop", "A nexthop object.", &[("id", T::Number, "Its id.")]),
    (
        "neighbour",
        "A neighbour entry of ARP or neighbour discovery.",
        &[
            DEV,
            ("address", T::Address, "Address of the neighbour."),
            ("state", T::Text, "Its state, or that there is none."),
        ],
    ),
    ("link", "A network device.", &[DEV, ("index", T::Number, "Interface index.")]),
    (
        "address",
        "An address on a device.",
        &[DEV, ("address", T::Address, "The address."), ("prefix", T::Number, "Prefix length, in bits.")],
    ),
    (
        "missing-address",
        "An address that ought to be on this host and is not.",
        &[("address", T::Address, "The address.")],
    ),
    (
        "bridge-port",
        "A port of a bridge, or the VLANs of it.",
        &[
            ("bridge", T::Text, "Name of the bridge."),
            ("port", T::Text, "Name of the port."),
            ("state", T::Text, "What is the matter with it."),
        ],
    ),
    (
        "qdisc",
        "A traffic-control qdisc.",
        &[DEV, ("handle", T::Text, "Handle, as tc prints it."), ("qdisc", T::Text, "Kind of the qdisc.")],
    ),
    (
        "filter",
        "A traffic-control filter.",
        &[
            DEV,
            ("parent", T::Text, "Where it hangs: a parent handle, ingress or egress."),
            ("pref", T::Number, "Preference."),
            ("handle", T::Text, "Handle, as tc prints it; may be empty."),
            ("filter", T::Text, "Kind of the filter."),
        ],
    ),
    (
        "bpf",
        "A BPF program at a hook.",
        &[
            ("hook", T::Text, "The hook."),
            ("dev", T::MaybeText, "Device of the hook, when it has one."),
            ("prog_id", T::Number, "Id of the program."),
            ("name", T::Text, "Name of the program; may be empty."),
        ],
    ),
    (
        "socket",
        "A socket.",
        &[
            ("proto", T::Proto, "Transport."),
            ("local", T::Text, "Local end, ADDR:PORT."),
            ("remote", T::MaybeText, "Remote end, when it has one."),
            ("inode", T::Number, "Inode of the socket; 0 when the kernel gave none."),
            ("pid", T::MaybeNumber, "Process that owns it, when it could be found."),
            ("process", T::MaybeText, "Name of that process."),
        ],
    ),
    (
        "missing-listener",
        "No socket where one ought to listen.",
        &[
            ("proto", T::Proto, "Transport."),
            ("address", T::Address, "Address nobody listens on."),
            ("port", T::Number, "Port nobody listens on."),
        ],
    ),
    (
        "process",
        "A process.",
        &[("pid", T::Number, "Process id."), ("process", T::Text, "Name of the process."), DETAIL],
    ),
    (
        "sysctl",
        "A kernel setting.",
        &[("name", T::Text, "Name with dots."), ("value", T::Text, "Its value now.")],
    ),
    ("conntrack", "The connection-tracking table or one entry of it.", &[DETAIL]),
    (
        "resolver",
        "A configured name server.",
        &[("server", T::Text, "Its address."), ("source", T::Text, "The file that names it.")],
    ),
    (
        "dns-name",
        "A name in the DNS.",
        &[("name", T::Text, "The name."), ("rcode", T::Text, "What the DNS says about it.")],
    ),
    (
        "hosts-entry",
        "A line of a hosts file.",
        &[
            ("file", T::Text, "The file."),
            ("line", T::Number, "The line, counted from 1."),
            ("name", T::Text, "The name it gives."),
            ("address", T::Address, "The address it gives."),
        ],
    ),
    (
        "config-line",
        "A line of a configuration file.",
        &[
            ("file", T::Text, "The file."),
            ("line", T::Number, "The line, counted from 1."),
            ("text", T::Text, "The line."),
        ],
    ),
    (
        "certificate",
        "A certificate of the peer.",
        &[
            ("subject", T::Text, "Whom it is for."),
            ("issuer", T::Text, "Who issued it."),
            ("not_after", T::Text, "End of its validity."),
        ],
    ),
    ("tls-endpoint", "The TLS settings of an end point.", &[("address", T::Text, "ADDR:PORT."), DETAIL]),
    ("xfrm", "An IPsec policy or state. Keys are never part of it.", &[DETAIL]),
    ("tunnel", "A tunnel or overlay device.", &[DEV, DETAIL]),
    (
        "hop",
        "A router or host on the path.",
        &[
            ("address", T::MaybeAddress, "The address it answers from; null when it is silent."),
            ("ttl", T::Number, "Its distance, in hops."),
            DETAIL,
        ],
    ),
    (
        "remote-endpoint",
        "The far end as a whole.",
        &[
            ("address", T::Address, "Its address."),
            ("port", T::Number, "The port; 0 for an echo."),
            ("proto", T::Proto, "Transport."),
        ],
    ),
    (
        "port-range",
        "Local ports.",
        &[
            ("low", T::Number, "First port."),
            ("high", T::Number, "Last port."),
            ("dst", T::Text, "Destination they are used for; may be empty."),
        ],
    ),
    (
        "security-policy",
        "A rule of a security module or of seccomp.",
        &[("module", T::Text, "Which one."), DETAIL],
    ),
    ("host", "This host as a whole, for a limit of the machine.", &[DETAIL]),
];

/// The schema of a locus: one alternative a kind.
pub(super) fn schema() -> Value {
    let branches: Vec<Value> = KINDS
        .iter()
        .map(|(kind, description, fields)| {
            let mut properties = Map::new();
            properties.insert("kind".into(), json!({"const": kind, "description": "The kind of object."}));
            for (name, t, what) in *fields {
                properties.insert((*name).into(), of(*t, what));
            }
            let required: Vec<&String> = properties.keys().collect();
            json!({"type": "object", "description": description, "required": required, "properties": properties})
        })
        .collect();
    json!({"description": "The object a person can change; kind says which fields it has.", "oneOf": branches})
}

fn of(t: T, what: &str) -> Value {
    match t {
        T::Text => json!({"type": "string", "description": what}),
        T::MaybeText => json!({"type": ["string", "null"], "description": what}),
        T::Number => json!({"type": "integer", "minimum": 0, "description": what}),
        T::MaybeNumber => json!({"type": ["integer", "null"], "minimum": 0, "description": what}),
        T::Address => json!({"type": "string", "description": format!("{what} An IP address.")}),
        T::MaybeAddress => {
            json!({"type": ["string", "null"], "description": format!("{what} An IP address or null.")})
        }
        T::Prefix => {
            json!({"type": "object", "description": what, "required": ["addr", "len"], "properties": {
                "addr": {"type": "string", "description": "Network address, host bits zero."},
                "len": {"type": "integer", "minimum": 0, "maximum": 128, "description": "Prefix length, in bits."},
            }})
        }
        T::Proto => json!({"type": "string", "enum": ["tcp", "udp", "icmp"], "description": what}),
    }
}
