//! Settings, held against the files of `/proc/sys`.

use netwhy_collect::Collector;

use crate::space::{in_namespace, run, value};

#[test]
fn a_devices_settings_are_those_of_its_files() {
    in_namespace(&["ip"], || {
        run("ip link set lo up
             ip link add v0 type veth peer name v0.100
             ip link add small mtu 1000 type veth peer name big
             ip link set v0 up");
        for (path, text) in [
            ("ipv4/conf/v0/rp_filter", "2"),
            ("ipv4/conf/v0/arp_ignore", "8"),
            ("ipv4/conf/v0/route_localnet", "1"),
            ("ipv4/conf/v0/bc_forwarding", "1"),
            ("ipv4/conf/v0.100/accept_local", "1"),
            ("ipv6/conf/v0/accept_ra", "2"),
            ("ipv6/conf/v0/disable_policy", "1"),
            ("ipv6/conf/v0.100/disable_ipv6", "1"),
            ("ipv4/conf/all/rp_filter", "1"),
            ("ipv4/ip_local_port_range", "2000 3000"),
        ] {
            std::fs::write(format!("/proc/sys/net/{path}"), text).unwrap();
        }
        let settings = value(Collector::here().unwrap().sysctls());
        let mut compared = 0;
        for (name, ours) in &settings.0 {
            let path = match name.split_once(".conf.") {
                // The device may have dots: the setting is what follows the last one.
                Some((family, rest)) => {
                    let (device, setting) = rest.rsplit_once('.').unwrap();
                    format!(
                        "/proc/sys/{}/conf/{}/{setting}",
                        family.replace('.', "/"),
                        device.replace('/', ".")
                    )
                }
                None => format!("/proc/sys/{}", name.replace('.', "/")),
            };
            let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(*ours, file.trim_end().replace('\t', " "), "{name}");
            compared += 1;
        }
        assert!(compared > 300, "{compared}");
        assert_eq!((settings.rp_filter("v0"), settings.conf4("v0.100", "accept_local")), (Some(2), Some(1)));
        assert_eq!(settings.conf6("v0.100", "disable_ipv6"), Some(1));
        assert_eq!(settings.conf6("small", "disable_ipv6"), None, "an MTU below 1280 has no IPv6");
        assert_eq!(settings.0["net.ipv4.ip_local_port_range"], "2000 3000");
    });
}
