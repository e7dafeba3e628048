//! `netwhy walk PROTO SRC[:PORT] DST[:PORT]`: the predicted path of a packet, both directions. Sends nothing.

use std::net::{IpAddr, SocketAddr};

use netwhy_facts::question::{App, Question, Role, Scenario, Target};
use netwhy_facts::{Flow, Proto};
use netwhy_render::walk::{Walk, walk_text};

use crate::cli::{Global, Usage, WalkArgs};
use crate::place::Place;
use crate::session::{Options, Session};

/// Reads the packet, predicts, prints. 0: it gets through both ways, 1: it is stopped, 3: the facts do not suffice.
pub(crate) fn run(args: &WalkArgs, global: &Global) -> anyhow::Result<u8> {
    let packet = Asked::read(args)?;
    let place = Place::of(global)?;
    let walked = place.inside(|| packet.walk(&place))??;
    if global.json || global.jsonl {
        super::print_json(&walked, global)?;
    } else {
        super::print(&walk_text(&walked, &super::text_options(global)))?;
    }
    Ok(walked.exit_code())
}

/// The packet as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    proto: Proto,
    src: IpAddr,
    sport: Option<u16>,
    dst: IpAddr,
    dport: u16,
    dev: Option<String>,
}

impl Asked {
    fn read(args: &WalkArgs) -> Result<Self, Usage> {
        let proto = match args.proto.as_str() {
            "tcp" => Proto::Tcp,
            "udp" => Proto::Udp,
            "icmp" | "icmpv6" | "icmp6" => Proto::Icmp,
            other => return Err(Usage(format!("protocol {other:?} is not known; use tcp, udp or icmp"))),
        };
        let (src, sport) = end("source", &args.src)?;
        let (dst, dport) = end("destination", &args.dst)?;
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(Usage(format!("source {src} and destination {dst} are of different families")));
        }
        let dport = match (proto, dport) {
            (Proto::Icmp, None) => 0,
            (Proto::Icmp, Some(_)) => return Err(Usage("icmp has no ports".into())),
            (_, Some(port)) => port,
            (_, None) => {
                return Err(Usage(format!("destination {:?} needs a port: write ADDRESS:PORT", args.dst)));
            }
        };
        if proto == Proto::Icmp && sport.is_some() {
            return Err(Usage("icmp has no ports".into()));
        }
        Ok(Self { proto, src, sport, dst, dport, dev: args.r#in.clone() })
    }

    /// Predicts in the calling thread's namespace.
    fn walk(&self, place: &Place) -> anyhow::Result<Walk> {
        let collector = netwhy_collect::Collector::here()?;
        let links = collector.links();
        let own = |address: &IpAddr| -> anyhow::Result<bool> {
            Ok(match collector.addresses() {
                netwhy_facts::Reading::Known { value, .. } => {
                    address.is_loopback() || value.0.iter().any(|a| a.addr == *address)
                }
                absent => anyhow::bail!("addresses of this host: {}", absence(&absent)),
            })
        };
        if let Some(dev) = &self.dev {
            match &links {
                netwhy_facts::Reading::Known { value, .. } if value.by_name(dev).is_none() => {
                    return Err(Usage(format!("there is no device {dev:?} in this namespace")).into());
                }
                netwhy_facts::Reading::Known { .. } => {}
                absent => anyhow::bail!("devices of this host: {}", absence(absent)),
            }
        } else if !self.src.is_unspecified() && !own(&self.src)? {
            return Err(Usage(format!(
                "{} is no address of this host: name the device the packet arrives by with --in DEV",
                self.src
            ))
            .into());
        }
        let role = match (&self.dev, own(&self.dst)?) {
            (None, _) => Role::Client,
            (Some(_), true) => Role::Inbound,
            (Some(_), false) => Role::Transit,
        };
        let given = (!self.src.is_unspecified()).then_some(self.src);
        let flow = Flow {
            proto: self.proto,
            src: given,
            sport: self.sport,
            dst: self.dst,
            dport: self.dport,
            mark: 0,
            uid: (role == Role::Client).then(|| netwhy_sys::process::effective_ids().0),
            dev: self.dev.clone(),
        };
        let options = Options { place: place.clone(), passive: true, ..Options::default() };
        let walked = Session::open(self.question(role, given), options)?.walk(flow);
        Ok(Walk::new(walked.forward, walked.reply))
    }

    fn question(&self, role: Role, from: Option<IpAddr>) -> Question {
        Question {
            scenario: Scenario::Connect,
            target_text: self.dst.to_string(),
            target: Target {
                host: self.dst.to_string(),
                literal: Some(self.dst),
                zone: None,
                port: self.dport,
                proto: self.proto,
                app: App::None,
                path: String::new(),
            },
            role,
            from: if role == Role::Client { None } else { from },
            family: None,
            flows: Vec::new(),
            budget_ms: 5000,
            asked_with: Vec::new(),
        }
    }
}

fn absence<T>(reading: &netwhy_facts::Reading<T>) -> String {
    reading.absence().map(|a| a.to_string()).unwrap_or_default()
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn end(which: &str, text: &str) -> Result<(IpAddr, Option<u16>), Usage> {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((address, None));
    }
    if let Ok(both) = text.parse::<SocketAddr>() {
        return match both.port() {
            0 => Err(Usage(format!("{which} {text:?}: port 0 is no port"))),
            port => Ok((both.ip(), Some(port))),
        };
    }
    Err(Usage(format!("{which} {text:?} is not ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(proto: &str, src: &str, dst: &str) -> WalkArgs {
        WalkArgs { proto: proto.into(), src: src.into(), dst: dst.into(), r#in: None }
    }

    #[test]
    fn packets_are_read() {
        let a = Asked::read(&args("tcp", "198.51.100.7", "203.0.113.2:80")).unwrap();
        assert_eq!((a.proto, a.sport, a.dport), (Proto::Tcp, None, 80));
        let a = Asked::read(&args("udp", "[2001:db8::1]:5353", "[2001:db8::2]:53")).unwrap();
        assert_eq!((a.sport, a.dport), (Some(5353), 53));
        let a = Asked::read(&args("icmp", "2001:db8::1", "2001:db8::2")).unwrap();
        assert_eq!((a.proto, a.dport), (Proto::Icmp, 0));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |proto, src, dst| Asked::read(&args(proto, src, dst)).unwrap_err().0;
        assert!(error("sctp", "127.0.0.1", "127.0.0.1:1").contains("sctp"));
        assert!(error("tcp", "127.0.0.1", "127.0.0.1").contains("needs a port"));
        assert!(error("tcp", "127.0.0.1", "127.0.0.1:0").contains("port 0"));
        assert!(error("tcp", "127.0.0.1", "127.0.0.1:65536").contains("destination"));
        assert!(error("tcp", "db.internal", "127.0.0.1:1").contains("source"));
        assert!(error("tcp", "127.0.0.1", "[::1]:1").contains("different families"));
        assert!(error("icmp", "127.0.0.1", "127.0.0.1:7").contains("no ports"));
    }

    #[test]
    fn loopback_is_walked() {
        let here = Place::default();
        let asked = Asked::read(&args("tcp", "127.0.0.1", "127.0.0.1:1")).unwrap();
        let walked = asked.walk(&here).unwrap();
        assert!(!walked.forward.path.steps.is_empty());
        let foreign = Asked::read(&args("tcp", "198.51.100.200", "127.0.0.1:1")).unwrap();
        assert!(foreign.walk(&here).unwrap_err().to_string().contains("--in DEV"));
    }
}
