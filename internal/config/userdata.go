package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"mayfly/runners"
)

// UserData reads the user-data template in force and says where it is: the configured file, or, where that is the
// default and isn't there, the one inside the binary.
func (c *Config) UserData() (text, from string, err error) {
	file, err := os.ReadFile(c.UserDataTemplate)
	switch {
	case err == nil:
		return string(file), c.UserDataTemplate, nil
	case errors.Is(err, fs.ErrNotExist) && c.UserDataTemplate == defaultUserData():
		return runners.UserDataTemplate, "inside the binary", nil
	}
	return "", "", fmt.Errorf("read user-data template %s: %s; set USER_DATA_TEMPLATE (user_data_template) to a file that is there, or leave it out for the one inside the binary",
		c.UserDataTemplate, cause(err))
}

func defaultUserData() string {
	for _, k := range (&File{}).keys() {
		if k.path == "user_data_template" {
			return k.tag("default")
		}
	}
	return ""
}
