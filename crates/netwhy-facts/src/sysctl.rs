//! Kernel settings that decide a packet's fate. Source: /proc/sys (the namespace's own where the setting is per namespace).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Settings by dotted name: `net.ipv4.ip_forward`, `net.ipv4.conf.eth0.rp_filter`. Device names keep their dots as `/` like sysctl(8).
/// A name that does not exist on this kernel is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sysctls(pub BTreeMap<String, String>);

impl Fact for Sysctls {
    const KIND: &'static str = "sysctls";
}

impl Sysctls {
    /// The first number of a setting.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.split_whitespace().next()?.parse().ok()
    }
    /// A per-device setting of `net.ipv4.conf`.
    pub fn conf4(&self, dev: &str, what: &str) -> Option<i64> {
        self.number(&format!("net.ipv4.conf.{}.{what}", dev.replace('.', "/")))
    }
    /// A per-device setting of `net.ipv6.conf`.
    pub fn conf6(&self, dev: &str, what: &str) -> Option<i64> {
        self.number(&format!("net.ipv6.conf.{}.{what}", dev.replace('.', "/")))
    }
    /// Effective strict-or-loose reverse-path filter of a device: the larger of `all` and the device (net/ipv4/fib_frontend.c, IN_DEV_RPFILTER).
    pub fn rp_filter(&self, dev: &str) -> Option<i64> {
        Some(self.conf4("all", "rp_filter")?.max(self.conf4(dev, "rp_filter")?))
    }
}
