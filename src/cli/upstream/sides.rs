//! The side doors: where a web client on this machine listens beside the address the gateway uses, read from `/proc`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// Where this port listens on this machine, loopback left out; nothing where the system does not tell.
pub fn of_port(port: u16) -> Vec<SocketAddr> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut found = listening(&read("/proc/net/tcp"), port);
    found.extend(listening(&read("/proc/net/tcp6"), port));
    found.retain(|address| !address.ip().is_loopback());
    found.sort_unstable();
    found.dedup();
    found
}

/// The addresses by which others reach a listener: itself, or every address of this machine.
pub fn reached_at(listener: SocketAddr) -> Vec<SocketAddr> {
    if !listener.ip().is_unspecified() {
        return vec![listener];
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut addresses = Vec::new();
    if listener.is_ipv6() {
        addresses.extend(own_v6(&read("/proc/net/if_inet6")).into_iter().map(IpAddr::V6));
    }
    // `[::]` takes IPv4 as well, unless it was told not to: then nothing answers there.
    addresses.extend(own_v4(&read("/proc/net/fib_trie")).into_iter().map(IpAddr::V4));
    let with_port = |ip| SocketAddr::new(ip, listener.port());
    addresses.into_iter().map(with_port).collect()
}

/// From `/proc/net/tcp` and `tcp6`: a head, then a line for each socket.
fn listening(table: &str, port: u16) -> Vec<SocketAddr> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        let (address, number) = local.split_once(':')?;
        let here = state == LISTENS && u16::from_str_radix(number, 16).ok()? == port;
        here.then(|| words(address).map(|ip| SocketAddr::new(ip, port)))?
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// An address as the kernel prints it: words of four bytes, each in the order of the machine.
fn words(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            let bytes: [u8; 16] = bytes.try_into().ok()?;
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// From `/proc/net/fib_trie`: an address, and in the line below it that it is this machine's.
fn own_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut address = None;
    for line in trie.lines() {
        if let Some(text) = line.trim().strip_prefix("|-- ") {
            address = text.parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(address.filter(|address| !address.is_loopback()));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// From `/proc/net/if_inet6`: an address in each line, then the index of its device, its length and its scope. Those
/// of one link alone are left out: a connection to them would have to name the device.
fn own_v6(table: &str) -> Vec<Ipv6Addr> {
    let line = |line: &str| {
        let hex = line.split_whitespace().next()?;
        let bits = u128::from_str_radix(hex, 16).ok()?;
        let address = Ipv6Addr::from(bits);
        (!address.is_loopback() && !address.is_unicast_link_local()).then_some(address)
    };
    table.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_of_a_port_are_read_from_the_table_of_sockets() {
        let four = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n   \
            1: 00000000:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1\n   \
            2: 0500A8C0:1388 0600A8C0:9999 01 00000000:00000000 00:00000000 00000000     0        0 3 1\n   \
            3: 0500A8C0:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1\n";
        let all = listening(four, 5000);
        assert_eq!(
            all,
            ["127.0.0.1:5000".parse().unwrap(), "0.0.0.0:5000".parse().unwrap()]
        );
        assert_eq!(listening(four, 5001), ["192.168.0.5:5001".parse().unwrap()]);
        let six = "  sl  local_address                         remote_address                        st\n   \
            0: 00000000000000000000000001000000:1388 00000000000000000000000000000000:0000 0A 0\n   \
            1: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(
            listening(six, 5000),
            ["[::1]:5000".parse().unwrap(), "[::]:5000".parse().unwrap()]
        );
        assert_eq!(listening("", 5000), []);
        assert_eq!(listening("head\nnonsense\n 0: X:Y Z 0A\n", 5000), []);
    }

    #[test]
    fn the_addresses_of_this_machine_are_read_from_its_routes() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     +-- 127.0.0.0/8 2 0 2\n        |-- 127.0.0.1\n           /32 host LOCAL\n\
            \x20    |-- 192.168.0.0\n        /24 link UNICAST\n     |-- 192.168.0.5\n        /32 host LOCAL\n\
            Local:\n     |-- 192.168.0.5\n        /32 host LOCAL\n     |-- 192.168.0.255\n        /32 link BROADCAST\n";
        assert_eq!(own_v4(trie), [Ipv4Addr::new(192, 168, 0, 5)]);
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fe800000000000000000000000000001 02 40 20 80     eth0\n20010db8000000000000000000000005 02 40 00 80     eth0\n";
        assert_eq!(own_v6(six), ["2001:db8::5".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn a_listener_on_one_address_is_reached_there() {
        let one = "192.0.2.7:5000".parse().unwrap();
        assert_eq!(reached_at(one), [one]);
        for reached in reached_at("[::]:5000".parse().unwrap()) {
            assert!(!reached.ip().is_loopback() && !reached.ip().is_unspecified());
        }
    }
}
