//! Every promise of the contracts, one test each.

mod common;

use common::Database;
use deriva_testkit::{blob_store_conformance, dag_store_conformance};

blob_store_conformance!(blobs, Database::new());
dag_store_conformance!(recipes, Database::new());
