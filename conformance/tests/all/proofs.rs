//! The proofs as an outsider runs them: one line, over a fixture, by a test binary that starts itself.

use conformance::UriFixture;
use deriva_testkit::store_proofs;

store_proofs!(redb, UriFixture::of("redb", "none"));
