//! Protocol counters: `/proc/thread-self/net/{snmp,netstat,snmp6,xfrm_stat,sockstat,sockstat6,softnet_stat}`.

use netwhy_facts::Reading;
use netwhy_facts::mib::{Counter, Mib, Sockstat, Softnet, SoftnetCpu};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

impl Collector {
    /// All protocol counters of the namespace. IPv6 and IPsec counters are absent where the kernel lacks them.
    pub fn mib(&self) -> Reading<Mib> {
        Self::reading("/proc/net/snmp, netstat, snmp6", "read access to /proc/net", || {
            self.inside(|| {
                let mut mib = Mib::default();
                // IPv4 counters exist in every namespace; the other files depend on the kernel's configuration.
                decode_pairs("/proc/net/snmp", &read_text(&self.proc_net("snmp"))?, &mut mib)?;
                if let Some(text) = self.optional("netstat")? {
                    decode_pairs("/proc/net/netstat", &text, &mut mib)?;
                }
                if let Some(text) = self.optional("snmp6")? {
                    decode_lines("/proc/net/snmp6", &text, "", &mut mib)?;
                }
                if let Some(text) = self.optional("xfrm_stat")? {
                    decode_lines("/proc/net/xfrm_stat", &text, "Xfrm.", &mut mib)?;
                }
                Ok(mib)
            })?
        })
    }

    /// The same counters in the order of their files: snmp, snmp6, netstat.
    pub fn counters(&self) -> Reading<Vec<Counter>> {
        Self::reading("/proc/net/snmp, snmp6, netstat", "read access to /proc/net", || {
            self.inside(|| {
                let mut found = Vec::new();
                pairs("/proc/net/snmp", &read_text(&self.proc_net("snmp"))?, &mut |group, name, value| {
                    found.push(Counter { group: group.to_owned(), name: name.to_owned(), value });
                })?;
                if let Some(text) = self.optional("snmp6")? {
                    for line in text.lines() {
                        let mut words = line.split_ascii_whitespace();
                        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
                        let at = name.find('6').map_or(0, |at| at + 1);
                        let value = number_of("/proc/net/snmp6", name, value)?;
                        found.push(Counter {
                            group: name[..at].to_owned(),
                            name: name[at..].to_owned(),
                            value,
                        });
                    }
                }
                if let Some(text) = self.optional("netstat")? {
                    pairs("/proc/net/netstat", &text, &mut |group, name, value| {
                        found.push(Counter { group: group.to_owned(), name: name.to_owned(), value });
                    })?;
                }
                Ok(found)
            })?
        })
    }

    /// Socket counts and memory.
    pub fn sockstat(&self) -> Reading<Sockstat> {
        Self::reading("/proc/net/sockstat", "read access to /proc/net", || {
            self.inside(|| {
                let mut out = Sockstat::default();
                decode_sockstat(&read_text(&self.proc_net("sockstat"))?, &mut out)?;
                if let Some(text) = self.optional("sockstat6")? {
                    decode_sockstat(&text, &mut out)?;
                }
                Ok(out)
            })?
        })
    }

    /// Receive statistics per CPU, of the whole machine.
    pub fn softnet(&self) -> Reading<Softnet> {
        Self::reading("/proc/net/softnet_stat", "read access to /proc/net", || {
            decode_softnet(&read_text(&self.proc_net("softnet_stat"))?)
        })
    }

    /// A file of `/proc/net` that need not exist.
    fn optional(&self, name: &str) -> Result<Option<String>, CollectError> {
        let path = self.proc_net(name);
        match read_text(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.errno().is_some_and(|e| e.name() == "ENOENT") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The layout of snmp and netstat: a line of names and a line of values, both with the group as prefix.
pub fn decode_pairs(what: &'static str, text: &str, mib: &mut Mib) -> Result<(), CollectError> {
    pairs(what, text, &mut |group, name, value| {
        mib.0.insert(format!("{group}.{name}"), value);
    })
}

fn pairs(what: &'static str, text: &str, each: &mut dyn FnMut(&str, &str, i64)) -> Result<(), CollectError> {
    let mut lines = text.lines().enumerate();
    while let Some((number, names)) = lines.next() {
        let (group, names) = names
            .split_once(':')
            .ok_or_else(|| CollectError::malformed(what, format!("line {} has no group", number + 1)))?;
        let (_, values) = lines
            .next()
            .ok_or_else(|| CollectError::malformed(what, format!("group {group} has names and no values")))?;
        let values = values.strip_prefix(group).and_then(|v| v.strip_prefix(':')).ok_or_else(|| {
            CollectError::malformed(what, format!("line {} is not the values of {group}", number + 2))
        })?;
        let mut values = values.split_ascii_whitespace();
        for name in names.split_ascii_whitespace() {
            let value = values
                .next()
                .ok_or_else(|| CollectError::malformed(what, format!("{group}.{name} has no value")))?;
            each(group, name, number_of(what, name, value)?);
        }
    }
    Ok(())
}

/// The layout of snmp6 and xfrm_stat: a name and a value on each line.
pub fn decode_lines(what: &'static str, text: &str, prefix: &str, mib: &mut Mib) -> Result<(), CollectError> {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        mib.0.insert(format!("{prefix}{name}"), number_of(what, name, value)?);
    }
    Ok(())
}

/// Counters are unsigned longs, a few gauges (Tcp.MaxConn) are signed; both fit an i64 after wrapping.
fn number_of(what: &'static str, name: &str, text: &str) -> Result<i64, CollectError> {
    text.parse::<i64>()
        .or_else(|_| text.parse::<u64>().map(|v| v as i64))
        .map_err(|_| CollectError::malformed(what, format!("{name} is {text:?}, not a number")))
}

/// `TCP: inuse 5 orphan 0 …` becomes `TCP.inuse` and so on.
pub fn decode_sockstat(text: &str, out: &mut Sockstat) -> Result<(), CollectError> {
    for line in text.lines() {
        let Some((group, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let value = value.parse().map_err(|_| {
                CollectError::malformed("/proc/net/sockstat", format!("{group}.{name} is {value:?}"))
            })?;
            out.0.insert(format!("{group}.{name}"), value);
        }
    }
    Ok(())
}

/// Hexadecimal columns, one line per online CPU; older kernels print fewer.
pub fn decode_softnet(text: &str) -> Result<Softnet, CollectError> {
    let mut cpus = Vec::new();
    for (row, line) in text.lines().enumerate() {
        let columns: Vec<u64> = line
            .split_ascii_whitespace()
            .map(|word| u64::from_str_radix(word, 16))
            .collect::<Result<_, _>>()
            .map_err(|_| {
                CollectError::malformed(
                    "/proc/net/softnet_stat",
                    format!("line {} is not hexadecimal", row + 1),
                )
            })?;
        let column = |n: usize| columns.get(n - 1).copied();
        cpus.push(SoftnetCpu {
            // Column 13 names the CPU since 5.10; before, the row does, with gaps for CPUs that are off.
            cpu: column(13).unwrap_or(row as u64) as u32,
            processed: column(1).unwrap_or(0),
            dropped: column(2).unwrap_or(0),
            time_squeeze: column(3).unwrap_or(0),
            received_rps: column(10).unwrap_or(0),
            flow_limit: column(11).unwrap_or(0),
            backlog_len: column(12).map(|v| v as u32),
        });
    }
    Ok(Softnet(cpus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_paired_by_group() {
        let mut mib = Mib::default();
        let text = "Tcp: RtoMin MaxConn InSegs\nTcp: 200 -1 18446744073709551615\nUdp: NoPorts\nUdp: 3\n";
        decode_pairs("/proc/net/snmp", text, &mut mib).unwrap();
        assert_eq!(mib.0["Tcp.MaxConn"], -1);
        assert_eq!(mib.0["Udp.NoPorts"], 3);
        assert_eq!(mib.0["Tcp.InSegs"], -1, "the largest counter wraps like the kernel's difference does");
    }

    #[test]
    fn a_broken_file_names_the_place() {
        let bad =
            |text: &str| decode_pairs("/proc/net/snmp", text, &mut Mib::default()).unwrap_err().to_string();
        assert!(bad("Tcp: A B\nTcp: 1\n").contains("Tcp.B has no value"));
        assert!(bad("Tcp: A\nUdp: 1\n").contains("values of Tcp"));
        assert!(bad("Tcp: A\n").contains("no values"));
        assert!(bad("Tcp: A\nTcp: x\n").contains("\"x\""));
        assert!(bad("nonsense\n").contains("line 1"));
        assert!(decode_softnet("zz\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn softnet_columns_are_found_by_number() {
        let s = decode_softnet("0000000a 00000001 00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000005 00000006 00000001 00000000 00000000\n").unwrap();
        assert_eq!(
            s.0[0],
            SoftnetCpu {
                cpu: 1,
                processed: 10,
                dropped: 1,
                time_squeeze: 2,
                received_rps: 4,
                flow_limit: 5,
                backlog_len: Some(6)
            }
        );
    }

    #[test]
    fn this_kernel_has_the_counters_the_causes_use() {
        let mib = Collector::here().unwrap().mib();
        let mib = mib.value().expect("counters are readable by anyone");
        for name in [
            "Tcp.RetransSegs",
            "TcpExt.ListenDrops",
            "Icmp.InDestUnreachs",
            "IpExt.InNoRoutes",
            "Ip6OutNoRoutes",
        ] {
            assert!(mib.0.contains_key(name), "{name}");
        }
    }
}
