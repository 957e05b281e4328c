//! Internet addresses: one form for each, networks, and which are reachable from everywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address range in CIDR notation, on canonical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    pub v4: bool,
    pub length: u8,
    pub bits: u128,
}

impl Network {
    /// Read `10.0.0.0/8`, `fd00::/8`, or one address.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Network, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                let length = length
                    .parse::<u8>()
                    .map_err(|_| format!("`{text}`: the prefix length is not a number"))?;
                (address, Some(length))
            }
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{text}` is not an address or CIDR range"))?;
        let mapped = matches!(address, IpAddr::V6(v6) if canonical_v6(v6).is_ipv4());
        let (address, width) = match address {
            IpAddr::V4(_) => (address, 32),
            IpAddr::V6(v6) if mapped && length.is_none() => (canonical_v6(v6), 32),
            IpAddr::V6(_) if mapped => {
                return Err(format!("`{text}`: write the IPv4 range that it stands for"));
            }
            IpAddr::V6(_) => (address, 128),
        };
        let length = length.unwrap_or(width);
        if length > width {
            return Err(format!("`{text}`: the prefix length is above {width}"));
        }
        let whole = Network::of(address);
        let network = Network {
            v4: whole.v4,
            length,
            bits: whole.bits & mask(whole.v4, length),
        };
        if network.bits != whole.bits {
            return Err(format!("`{text}` has bits set beyond its prefix length"));
        }
        Ok(network)
    }

    /// The range of one canonical address.
    pub fn of(address: IpAddr) -> Network {
        match address {
            IpAddr::V4(v4) => Network {
                v4: true,
                length: 32,
                bits: u128::from(v4.to_bits()),
            },
            IpAddr::V6(v6) => Network {
                v4: false,
                length: 128,
                bits: v6.to_bits(),
            },
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = Network::of(address);
        address.v4 == self.v4 && address.bits & mask(self.v4, self.length) == self.bits
    }

    /// The range of `length` bits around this one.
    pub fn widened(self, length: u8) -> Network {
        Network {
            v4: self.v4,
            length,
            bits: self.bits & mask(self.v4, length),
        }
    }
}

fn mask(v4: bool, length: u8) -> u128 {
    let width = if v4 { 32 } else { 128 };
    let all = if v4 { u128::from(u32::MAX) } else { u128::MAX };
    if length == 0 {
        0
    } else {
        all & (all << (width - u32::from(length)))
    }
}

/// The one form of an address: IPv4 where an IPv6 address maps, embeds or translates (NAT64) one.
pub fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => canonical_v6(v6),
    }
}

fn canonical_v6(address: Ipv6Addr) -> IpAddr {
    if let Some(v4) = address.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    let bits = address.to_bits();
    let low = Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32);
    let nat64 = bits >> 32 == 0x0064_ff9b_u128 << 64;
    let compatible = bits >> 32 == 0 && bits > 1;
    if nat64 || compatible {
        IpAddr::V4(low)
    } else {
        IpAddr::V6(address)
    }
}

/// Whether a canonical address is one that the whole internet can mean.
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_global_v4(v4),
        IpAddr::V6(v6) => is_global_v6(v6),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || a == 100 && (64..128).contains(&b)
        || address.is_loopback()
        || address.is_link_local()
        || a == 192 && b == 0 && c == 0
        || a == 192 && b == 88 && c == 99
        || a == 198 && (b == 18 || b == 19)
        || address.is_documentation()
        || address.is_multicast()
        || a >= 240)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is handed out; inside it are exceptions for protocols, documentation and 6to4.
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && segments[1] < 0x200)
        && !(segments[0] == 0x2001 && segments[1] == 0xdb8)
        && segments[0] != 0x2002
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}
