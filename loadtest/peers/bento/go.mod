// Pins the Bento that Triad is compared with; see ../README.md.
module triad-peer-bento

go 1.23.0

require github.com/warpstreamlabs/bento v1.10.0

// Of its own go.mod, which do not count in a dependency.
replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace inet.af/peercred => github.com/tailscale/peercred v0.0.0-20240214030740-b535050b2aa4
