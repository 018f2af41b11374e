// Package schemas carries the JSON Schemas of the wire and of the configuration, with valid and invalid
// examples, and the documents about them. The schemas are normative: the structs of the Go packages are tested
// against them, and other languages generate theirs from them. Within v1 only optional fields are added.
package schemas

import "embed"

// FS holds the folder v1, PROTOCOL.md and asyncapi.yaml.
//
//go:embed v1 PROTOCOL.md asyncapi.yaml
var FS embed.FS
