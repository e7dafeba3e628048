# The state the lines of `ethtool` are run in.
ip link set lo up
ip link add eth0 address 02:00:00:00:00:10 numtxqueues 4 numrxqueues 4 type veth peer name eth0p numtxqueues 4 numrxqueues 4
ip link set eth0 up
ip link set eth0p up
ip link add br0 type bridge
ip link set br0 up
ip link add mv0 link eth0 type macvlan
ip link add vx0 type vxlan id 1 remote 192.0.2.1 dstport 4789
ip tuntap add dev tun0 mode tun
ip link set tun0 up
ip tuntap add dev tap0 mode tap
