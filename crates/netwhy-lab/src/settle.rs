//! Waiting until the kernel has done in the background what an address or a cable asked of it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::error::{LabError, Result};
use crate::node::Node;

impl Node {
    /// Waits until the kernel has found that another host holds an address (`IFA_F_DADFAILED`).
    pub fn dad_fails(&self, address: &str) -> Result<()> {
        const DADFAILED: u32 = 0x08;
        let IpAddr::V6(wanted) = netwhy_change::words::ip(address)? else { return Ok(()) };
        let wanted: String = wanted.octets().iter().map(|byte| format!("{byte:02x}")).collect();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let path = format!("/proc/{}/net/if_inet6", self.pid);
            let text = std::fs::read_to_string(&path).map_err(LabError::io(path))?;
            let line = text.lines().find(|line| line.starts_with(&wanted)).unwrap_or_default();
            let flags = line.split_whitespace().nth(4).and_then(|word| u32::from_str_radix(word, 16).ok());
            if flags.is_some_and(|flags| flags & DADFAILED != 0) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(LabError::Unexpected(format!("{address}: nobody objected")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no IPv6 address is tentative and every one has joined its solicited-node group: the
    /// kernel does both in the background, and until then nobody answers for the address. `false`: not in
    /// time.
    pub(crate) fn settle(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.settled() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn settled(&self) -> bool {
        const TENTATIVE: u32 = 0x40;
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/net/{file}", self.pid));
        // address, index, prefix length, scope, flags, device; then index, device, group, ...
        let (Ok(addresses), Ok(groups)) = (read("if_inet6"), read("igmp6")) else { return true };
        addresses.lines().all(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [address, _, _, _, flags, device] = words[..] else { return true };
            let flags = u32::from_str_radix(flags, 16).unwrap_or(0);
            let group = format!("ff0200000000000000000001ff{}", address.get(26..).unwrap_or_default());
            let joined = || {
                groups.lines().any(|line| {
                    let mut words = line.split_whitespace().skip(1);
                    words.next() == Some(device) && words.next() == Some(&group)
                })
            };
            device == "lo" || (flags & TENTATIVE == 0 && joined())
        })
    }

    /// Waits until a device has carrier: a cable is up when both its ends are.
    pub(crate) fn wait_carrier(&mut self, device: &str) -> Result<()> {
        let path = format!("/proc/{}/root/sys/class/net/{device}/carrier", self.pid);
        let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
        while self.has_own_sysfs && std::time::Instant::now() < end {
            if std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == "1") {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if self.has_own_sysfs {
            return Err(LabError::Unexpected(format!("{}: {device} got no carrier", self.name)));
        }
        Ok(())
    }
}
