package analytics

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/bursarhq/bursar/pkg/chembed"
)

// Variables of the environment that say the password of ClickHouse, so that no URL has to.
const (
	EnvPassword     = "BURSAR_CLICKHOUSE_WRITER_PASSWORD"
	EnvPasswordFile = "BURSAR_CLICKHOUSE_PASSWORD_FILE"
)

// Address completes the URL of ClickHouse with the user and the password, which is not an argument so that it shows in no
// list of processes. A URL with a password stays as it is; file, where it is given, holds the password.
func Address(server, file, password string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("--clickhouse-url: %w", ErrClickHouse) // err would repeat the URL, and a password in it
	}
	if _, given := u.User.Password(); given {
		return server, nil
	}
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("the password of ClickHouse: %w", err)
		}
		password = strings.TrimSpace(string(raw))
	}
	user := u.User.Username()
	if user == "" {
		user = chembed.UserWriter
	}
	u.User = url.UserPassword(user, password)
	return u.String(), nil
}
