//! Sounds behind an address, for servers that were told to fetch them.
//!
//! A server that fetches what a request names can be sent to its own network ("server-side request
//! forgery"). So: off unless asked for; https only; the name is resolved once, every address it has
//! must be a public one, and the connection goes to exactly those, which leaves nothing for a name
//! that changes its address between the check and the use; no redirect is followed, no proxy used,
//! nothing of ours is sent along.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};
use url::{Host, Url};

use crate::fault::{Fault, Kind};

/// How long a sound may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches sounds.
pub(crate) struct Remote {
    agent: Agent,
    hosts: Vec<String>,
    schemes: &'static [&'static str],
    limit: u64,
}

/// Whether an address may be connected to.
type Policy = fn(IpAddr) -> bool;

/// Resolves a name to addresses that may be connected to, or to none.
#[derive(Debug)]
struct Guarded {
    inner: DefaultResolver,
    allows: Policy,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let addresses = self.inner.resolve(uri, config, timeout)?;
        match addresses.iter().all(|address| (self.allows)(address.ip())) {
            true => Ok(addresses),
            false => Err(Error::Io(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                "not a public address",
            ))),
        }
    }
}

impl Remote {
    /// For `https` and public addresses; only `hosts` where any are named. A sound may be `limit`
    /// bytes.
    pub(crate) fn new(hosts: Vec<String>, limit: u64) -> Self {
        Self::with(hosts, limit, is_public, &["https"])
    }

    fn with(
        hosts: Vec<String>,
        limit: u64,
        allows: Policy,
        schemes: &'static [&'static str],
    ) -> Self {
        let config = Agent::config_builder()
            .https_only(!schemes.contains(&"http"))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("")
            .timeout_global(Some(PATIENCE))
            .max_response_header_size(16 * 1024)
            .max_idle_connections(0)
            .build();
        let resolver = Guarded {
            inner: DefaultResolver::default(),
            allows,
        };
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            hosts: hosts.into_iter().map(|host| host.to_lowercase()).collect(),
            schemes,
            limit,
        }
    }

    /// The bytes behind `address`. Blocks.
    pub(crate) fn fetch(&self, address: &str) -> Result<Vec<u8>, Fault> {
        let url = self.check(address)?;
        let cannot = |why: &str| Fault::unprocessable(format!("the sound at {url} {why}"));
        let mut response = match self.agent.get(url.as_str()).call() {
            Ok(response) => response,
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(refused("it leads to an address that is not public"));
            }
            // The system's words would tell which of our neighbours answer.
            Err(Error::Timeout(_)) => return Err(cannot("did not come in time")),
            Err(_) => return Err(cannot("cannot be fetched")),
        };
        let status = response.status();
        if status.is_redirection() {
            return Err(cannot("is elsewhere; give the address it redirects to"));
        }
        if !status.is_success() {
            return Err(cannot(&format!("cannot be had: {}", status.as_u16())));
        }
        let mut bytes = Vec::new();
        let body = response.body_mut().as_reader();
        (body.take(self.limit + 1).read_to_end(&mut bytes))
            .map_err(|_| cannot("broke off, or did not come in time"))?;
        if bytes.len() as u64 > self.limit {
            let limit = self.limit;
            let message = format!("the sound at {url} is over {limit} bytes");
            return Err(Fault::new(Kind::TooLarge, message));
        }
        Ok(bytes)
    }

    /// What can be told without a look-up. `Url` reads an address as a browser does, so `2130706433`
    /// and `0x7f.1` are seen as what they are.
    fn check(&self, address: &str) -> Result<Url, Fault> {
        let url = Url::parse(address)
            .map_err(|error| Fault::bad(format!("not an address of a sound: {error}")))?;
        if !self.schemes.contains(&url.scheme()) {
            return Err(refused("only https addresses are fetched"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("an address with a user name in it is not fetched"));
        }
        match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_lowercase();
                if !self.hosts.is_empty() && !self.hosts.contains(&name) {
                    return Err(refused("its host is not among those that may be asked"));
                }
            }
            // A certificate for a bare address is rare, an attack by one is not.
            Some(_) if self.schemes == ["https"] => {
                return Err(refused("an address must name a host, not a number"));
            }
            Some(_) => {}
            None => return Err(Fault::bad("an address without a host")),
        }
        Ok(url)
    }
}

fn refused(why: &str) -> Fault {
    Fault::new(Kind::Forbidden, format!("the sound is not fetched: {why}"))
}

/// Whether an address belongs to the public internet: not to this machine, its network, or anything
/// reserved (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let reserved = a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // carriers' own
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !(reserved
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || v4.is_multicast())
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        // A translator's prefix: what counts is the address behind it.
        return is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let tunnel = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] < 0x200);
    let documentation = (segments[0] == 0x2001 && segments[1] == 0x0db8)
        || (segments[0] == 0x3fff && segments[1] < 0x1000);
    segments[0] & 0xe000 == 0x2000 && !tunnel && !documentation
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for private in [
            "127.0.0.1",
            "127.255.1.2",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
            "2001:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_name_that_leads_home_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let remote = Remote::new(Vec::new(), 100);
        let fault = remote
            .fetch(&format!("https://localhost:{port}/a.wav"))
            .unwrap_err();
        assert_eq!(fault.kind(), Kind::Forbidden, "{fault:?}");
        assert!(listener.accept().is_err(), "somebody called");
    }

    #[test]
    fn what_is_allowed_is_fetched_up_to_the_limit_and_no_redirect_is_followed() {
        let remote = Remote::with(Vec::new(), 5, |_| true, &["http"]);
        let answer = |head: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(head.as_bytes()).unwrap();
            });
            remote.fetch(&format!("http://127.0.0.1:{port}/a.wav"))
        };
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(answer(ok).unwrap(), b"hello");
        let long = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello!";
        assert_eq!(answer(long).unwrap_err().kind(), Kind::TooLarge);
        let moved =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answer(moved).unwrap_err().kind(), Kind::Unprocessable);
    }

    #[test]
    fn only_hosts_that_are_named_are_asked() {
        let remote = Remote::new(vec!["Sounds.Example".into()], 5);
        assert!(remote.check("https://sounds.example/a.wav").is_ok());
        assert!(remote.check("https://sounds.example./a.wav").is_ok());
        assert!(remote.check("https://other.example/a.wav").is_err());
        assert!(
            remote
                .check("https://sounds.example@other.example/a")
                .is_err()
        );
        assert!(remote.check("http://sounds.example/a.wav").is_err());
    }
}
