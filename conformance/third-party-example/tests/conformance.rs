//! Every promise of the contracts, one test each, and the proofs that take processes to kill.

mod common;

use common::Database;
use deriva_testkit::{blob_store_conformance, dag_store_conformance, store_proofs};

blob_store_conformance!(blobs, Database::new());
dag_store_conformance!(recipes, Database::new());
store_proofs!(proofs, Database::new());
