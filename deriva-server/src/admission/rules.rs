//! Who may make which call.

use std::fmt::{self, Display};
use std::str::FromStr;

use deriva::{Error, ErrorKind};

/// What a token allows: each role may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Read what is stored, and ask about it. Nothing is computed.
    Read,
    /// Store, and compute.
    Write,
    /// Take away, and keep house.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// As it stands in a file of tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "a role was expected")
                .with("found", text)
                .hint("the roles are read, write and admin")
        })
    }
}

/// What a call asks of who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Nothing: whether the service is well.
    Open,
    /// This role, or a higher one.
    Needs(Role),
}

/// The rule of each call. One that is not listed is refused to all but admins: a test holds that none is.
const RULES: &[(&str, &[(&str, Role)])] = &[
    (
        "deriva.v1.Blobs",
        &[
            ("Put", Role::Write),
            ("Get", Role::Read),
            ("Stat", Role::Read),
            ("Missing", Role::Read),
            ("Verify", Role::Read),
            ("List", Role::Read),
            ("Remove", Role::Admin),
            ("Usage", Role::Read),
            ("Flush", Role::Write),
        ],
    ),
    (
        "deriva.v1.Graph",
        &[
            ("Insert", Role::Write),
            ("Get", Role::Read),
            ("Outputs", Role::Read),
            ("Record", Role::Write),
            ("Forget", Role::Admin),
            ("Remove", Role::Admin),
            ("Dependents", Role::Read),
            ("ByFunction", Role::Read),
            ("List", Role::Read),
            ("Walk", Role::Read),
            ("Find", Role::Read),
            ("Show", Role::Read),
            ("States", Role::Read),
            ("Functions", Role::Read),
            ("SetRoot", Role::Write),
            ("RemoveRoot", Role::Write),
            ("Roots", Role::Read),
            ("Usage", Role::Read),
            ("Flush", Role::Write),
        ],
    ),
    (
        "deriva.v1.Materialize",
        &[
            ("Run", Role::Write),
            ("Lease", Role::Write),
            ("Explain", Role::Read),
            ("Diff", Role::Read),
            ("Why", Role::Read),
        ],
    ),
    (
        "deriva.v1.Admin",
        &[
            ("Invalidate", Role::Admin),
            ("Collect", Role::Admin),
            ("Scrub", Role::Admin),
            ("Audit", Role::Admin),
            ("Ledger", Role::Read),
            ("Release", Role::Admin),
            ("Quarantine", Role::Read),
            ("Status", Role::Read),
            ("Digest", Role::Read),
        ],
    ),
    (
        "grpc.reflection.v1.ServerReflection",
        &[("ServerReflectionInfo", Role::Read)],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &[("ServerReflectionInfo", Role::Read)],
    ),
];

/// Streams that last until their caller ends them, and so come to no end by themselves.
const HELD: &[&str] = &[
    "/deriva.v1.Materialize/Lease",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Whether a call of this path lasts until its caller ends it.
pub(crate) fn is_held(path: &str) -> bool {
    HELD.contains(&path)
}

/// The calls of the service of health, which everybody may make.
const HEALTH: (&str, &[&str]) = ("grpc.health.v1.Health", &["Check", "List", "Watch"]);
/// What is none of the calls.
const OTHER: (&str, &str) = ("other", "other");

/// Service and method of a path, where it is that of a call that there is.
pub(crate) fn name_of(path: &str) -> (&'static str, &'static str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    let Some((service, method)) = path.split_once('/') else {
        return OTHER;
    };
    let ruled = RULES.iter().flat_map(|(service, methods)| {
        let methods = methods.iter().map(|(method, _)| *method);
        methods.map(|method| (*service, method))
    });
    let open = HEALTH.1.iter().map(|method| (HEALTH.0, *method));
    let found = ruled.chain(open).find(|name| *name == (service, method));
    found.unwrap_or(OTHER)
}

/// The rule of a path, as `/deriva.v1.Blobs/Get`.
pub(crate) fn of(path: &str) -> Rule {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    if service == HEALTH.0 {
        return Rule::Open;
    }
    let methods = RULES.iter().find(|(name, _)| *name == service);
    let methods = methods.map_or(&[][..], |(_, methods)| methods);
    let found = methods.iter().find(|(name, _)| *name == method);
    Rule::Needs(found.map_or(Role::Admin, |(_, role)| *role))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_call_of_the_protocol_has_a_rule_and_no_other_has() {
        use prost::Message as _;
        let described = FileDescriptorSet::decode(deriva_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut calls = BTreeSet::new();
        for file in &described.file {
            for service in &file.service {
                for method in &service.method {
                    calls.insert(format!(
                        "{}.{}/{}",
                        file.package(),
                        service.name(),
                        method.name()
                    ));
                }
            }
        }
        let ruled: BTreeSet<String> = RULES
            .iter()
            .filter(|(service, _)| service.starts_with("deriva."))
            .flat_map(|(service, methods)| {
                methods
                    .iter()
                    .map(move |(name, _)| format!("{service}/{name}"))
            })
            .collect();
        assert!(calls.len() > 30);
        assert_eq!(calls, ruled);
    }

    #[test]
    fn a_call_has_a_name_and_what_is_none_has_one_together() {
        let get = ("deriva.v1.Blobs", "Get");
        assert_eq!(name_of("/deriva.v1.Blobs/Get"), get);
        assert_eq!(name_of("/grpc.health.v1.Health/Check").1, "Check");
        for path in ["", "/", "/deriva.v1.Blobs/get", "/deriva.v1.Blobs", "/x/y"] {
            assert_eq!(name_of(path), OTHER, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_for_admins() {
        for path in [
            "",
            "/",
            "/deriva.v1.Blobs",
            "/deriva.v1.Blobs/get",
            "/x.Y/Get",
            "//",
        ] {
            assert_eq!(of(path), Rule::Needs(Role::Admin), "{path}");
        }
        assert_eq!(of("/deriva.v1.Blobs/Get"), Rule::Needs(Role::Read));
        assert_eq!(of("/grpc.health.v1.Health/Check"), Rule::Open);
    }
}
