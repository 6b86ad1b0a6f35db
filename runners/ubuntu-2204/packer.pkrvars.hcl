# Example. Copy it to packer.auto.pkrvars.hcl, which Git ignores and Packer reads by itself, and fill that in.
# runners/README.md has all variables.

proxmox_url      = "https://pve1.example.org:8006/api2/json"
proxmox_username = "mayfly-image@pve!build"
proxmox_token    = "REPLACE-WITH-THE-SECRET-OF-THE-TOKEN"
proxmox_node     = "pve1"

# The password lives as long as the build. The hash: openssl passwd -6 'password'
ssh_password      = "REPLACE-WITH-A-PASSWORD"
ssh_password_hash = "$6$REPLACE-WITH-ITS-HASH"

# Often needed:
# proxmox_insecure = true           # Proxmox's own certificate, on a network that you trust
# proxmox_pool     = "ci-templates" # the resource pool that the token may act in
# disk_storage     = "local-lvm"
# iso_storage      = "local"
# iso_file         = "local:iso/ubuntu-22.04.5-live-server-amd64.iso"
# bridge           = "vmbr0"
# vlan_tag         = "30"
# cores            = 4
# memory           = 8192
# disk_size        = "64G"
# extra_packages   = "gfortran libssl-dev"
# install_docker   = true
