//! Addresses on the web: what goes into them, where they lead, and how much of them is shown.

use ureq::http::Uri;

/// An address without query and password: a signed one is a key.
pub(crate) fn shown_text(url: &str) -> String {
    match url.parse() {
        Ok(uri) => shown(&uri),
        Err(_) => url.split('?').next().unwrap_or_default().to_owned(),
    }
}

/// The same, of an address that was read.
pub(crate) fn shown(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or(""));
    let port = uri.port_u16().map(|port| format!(":{port}"));
    format!(
        "{scheme}://{host}{}{}",
        port.unwrap_or_default(),
        uri.path()
    )
}

/// `text` as part of a URL's path; bytes in `keep` stay as they are.
pub(crate) fn encoded(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || keep.contains(c) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn port_of(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })
}

/// Whether two addresses are of one server, and so may be told the same secrets.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port_of(a) == port_of(b)
}

fn has_scheme(location: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    location
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(allowed))
}

/// Where `location` leads, seen from `at`; none where that is not on the web.
pub(crate) fn redirected(at: &Uri, location: &str) -> Option<Uri> {
    let scheme = at.scheme_str()?;
    let authority = at.authority()?;
    let target = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if has_scheme(location) {
        location.to_owned()
    } else {
        let folder = at.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let target = target.split('#').next()?;
    let uri: Uri = target.parse().ok()?;
    (uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_leads_where_a_browser_would_go() {
        let at = uri("https://hub:8443/a/b?x=1");
        let leads = |location: &str| redirected(&at, location).map(|uri| uri.to_string());
        assert_eq!(leads("/c?y=2").unwrap(), "https://hub:8443/c?y=2");
        assert_eq!(leads("c").unwrap(), "https://hub:8443/a/c");
        assert_eq!(
            leads("c?from=http://d").unwrap(),
            "https://hub:8443/a/c?from=http://d"
        );
        assert_eq!(leads("//cdn/c#part").unwrap(), "https://cdn/c");
        assert_eq!(leads("http://cdn/c").unwrap(), "http://cdn/c");
        assert_eq!(leads("file:///etc/passwd"), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert!(same_origin(
            &uri("https://Hub/a"),
            &uri("https://hub:443/b")
        ));
        assert!(!same_origin(&uri("https://hub"), &uri("http://hub")));
        assert!(!same_origin(&uri("https://hub"), &uri("https://hub.evil")));
        assert!(!same_origin(&uri("http://hub:1"), &uri("http://hub:2")));
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let signed = "https://ada:pw@cdn:8443/blob?signature=abc";
        assert_eq!(shown_text(signed), "https://cdn:8443/blob");
    }

    #[test]
    fn a_revision_is_one_part_of_a_path_and_a_file_may_be_several() {
        assert_eq!(encoded("refs/pr/3", ""), "refs%2Fpr%2F3");
        assert_eq!(
            encoded("1_Pooling/a b é.json", "/"),
            "1_Pooling/a%20b%20%C3%A9.json"
        );
    }
}
