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
	text, from, err = readUserData(os.ReadFile, c.UserDataTemplate)
	if err != nil {
		return "", "", fmt.Errorf("read user-data template: %w; set USER_DATA_TEMPLATE (user_data_template) to a file that is there, or leave it out for the one inside the binary", err)
	}
	return text, from, nil
}

func readUserData(read func(string) ([]byte, error), path string) (text, from string, err error) {
	file, err := read(path)
	switch {
	case err == nil:
		return string(file), path, nil
	case errors.Is(err, fs.ErrNotExist) && path == DefaultUserData():
		return runners.UserDataTemplate, "inside the binary", nil
	}
	return "", "", fmt.Errorf("%s can't be read: %s", path, cause(err))
}

// DefaultUserData is the path of user_data_template where none is set.
func DefaultUserData() string {
	for _, k := range (&File{}).keys() {
		if k.path == "user_data_template" {
			return k.tag("default")
		}
	}
	return ""
}
